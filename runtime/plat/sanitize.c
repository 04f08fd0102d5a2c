/* SPDX-License-Identifier: MIT */
/*
 * sanitize.c - the hooks of sanitize.h, one step per tool.
 *
 * Layer   plat.
 */
#include "plat/sanitize.h"

#if GV_SANITIZER

#if GV_ASAN
#include "base/check.h"

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if GV_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(GV_VALGRIND)
#include <valgrind/valgrind.h>
#endif

#if GV_ASAN
static void asan_create(struct gv_sanitizer *s, void *stack_low, size_t size)
{
	s->low = stack_low;
	s->size = size;
	s->fake_stack = NULL;
	ASAN_UNPOISON_MEMORY_REGION(stack_low, size);
}

/* Frames that were never left have poison of their own in there; a free stack is all poison. */
static void asan_destroy(struct gv_sanitizer *s)
{
	ASAN_POISON_MEMORY_REGION(s->low, s->size);
}

static void asan_adopt_thread(struct gv_sanitizer *s)
{
	pthread_attr_t attributes;
	void *low = NULL;
	size_t size = 0;

	GV_CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0, "no memory");
	pthread_attr_getstack(&attributes, &low, &size);
	pthread_attr_destroy(&attributes);
	s->low = low;
	s->size = size;
	s->fake_stack = NULL;
}

static void asan_unmap(void *memory, size_t size)
{
	ASAN_UNPOISON_MEMORY_REGION(memory, size);
}

GV_INLINE void asan_before(struct gv_sanitizer *from, struct gv_sanitizer *to, bool from_dies)
{
	__sanitizer_start_switch_fiber(from_dies ? NULL : &from->fake_stack, to->low, to->size);
}

GV_INLINE void asan_after(struct gv_sanitizer *self)
{
	__sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
}
#else
#define asan_create(s, stack_low, size) ((void)(s), (void)(stack_low), (void)(size))
#define asan_destroy(s) ((void)(s))
#define asan_adopt_thread(s) ((void)(s))
#define asan_unmap(memory, size) ((void)(memory), (void)(size))
#define asan_before(from, to, from_dies) ((void)(from), (void)(to), (void)(from_dies))
#define asan_after(self) ((void)(self))
#endif

#if GV_TSAN
enum { USES_OF_A_FIBER = 100 };

static void tsan_init(struct gv_sanitizer *s)
{
	s->fiber = NULL;
	s->uses = 0;
}

static void tsan_retire(struct gv_sanitizer *s)
{
	if (s->fiber != NULL)
		__tsan_destroy_fiber(s->fiber);
	tsan_init(s);
}

static void tsan_create(struct gv_sanitizer *s)
{
	if (s->fiber == NULL)
		s->fiber = __tsan_create_fiber(0);
}

static void tsan_destroy(struct gv_sanitizer *s)
{
	if (++s->uses >= USES_OF_A_FIBER)
		tsan_retire(s);
}

static void tsan_adopt_thread(struct gv_sanitizer *s)
{
	s->fiber = __tsan_get_current_fiber();
}

#define tsan_before(to) __tsan_switch_to_fiber((to)->fiber, 0)
#else
#define tsan_init(s) ((void)(s))
#define tsan_retire(s) ((void)(s))
#define tsan_create(s) ((void)(s))
#define tsan_destroy(s) ((void)(s))
#define tsan_adopt_thread(s) ((void)(s))
#define tsan_before(to) ((void)(to))
#endif

#if defined(GV_VALGRIND)
#define valgrind_create(s, low, size)                                                              \
	((void)((s)->valgrind_id = VALGRIND_STACK_REGISTER((low), (char *)(low) + (size)-1)))
#define valgrind_destroy(s) VALGRIND_STACK_DEREGISTER((s)->valgrind_id)
#else
#define valgrind_create(s, low, size) ((void)(s), (void)(low), (void)(size))
#define valgrind_destroy(s) ((void)(s))
#endif

void gv_sanitizer_init(struct gv_sanitizer *s)
{
	tsan_init(s);
}

void gv_sanitizer_retire(struct gv_sanitizer *s)
{
	tsan_retire(s);
}

void gv_sanitizer_create(struct gv_sanitizer *s, void *stack_low, size_t size)
{
	asan_create(s, stack_low, size);
	tsan_create(s);
	valgrind_create(s, stack_low, size);
}

void gv_sanitizer_destroy(struct gv_sanitizer *s)
{
	valgrind_destroy(s);
	tsan_destroy(s);
	asan_destroy(s);
}

void gv_sanitizer_adopt_thread(struct gv_sanitizer *s)
{
	asan_adopt_thread(s);
	tsan_adopt_thread(s);
}

void gv_sanitizer_unmap(void *memory, size_t size)
{
	asan_unmap(memory, size);
}

GV_NOT_INSTRUMENTED void gv_sanitizer_before_switch(struct gv_sanitizer *from,
						    struct gv_sanitizer *to, bool from_dies)
{
	asan_before(from, to, from_dies);
	tsan_before(to);
}

GV_NOT_INSTRUMENTED void gv_sanitizer_after_switch(struct gv_sanitizer *self)
{
	asan_after(self);
}

GV_NOT_INSTRUMENTED void *gv_sanitizer_switch(void **save, void *target, void *arg,
					      struct gv_sanitizer *from, struct gv_sanitizer *to,
					      bool from_dies)
{
	gv_sanitizer_before_switch(from, to, from_dies);
	void *answer = gv_context_switch(save, target, arg);
	gv_sanitizer_after_switch(from);
	return answer;
}

#else
/* A translation unit must not be empty. */
typedef int gv_sanitizer_is_compiled_out;
#endif
