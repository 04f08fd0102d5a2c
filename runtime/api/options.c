/* SPDX-License-Identifier: MIT */
/*
 * options.c - the options of a start: bounds, defaults, environment.
 *
 * Layer   api.
 * Entry   gv_options_resolve from start.c.
 *
 *     what the program gave --copy--> checked size --environment--> overridden
 *         --check--> within bounds --fill--> nothing left to be chosen
 *
 * The environment comes last but before the checks, so a value from there obeys the same bounds,
 * and one that repairs a bad value of the program is welcome.
 */
#include "api/options.h"

#include "base/compiler.h"
#include "plat/clock.h"
#include "plat/os.h"
#include "plat/pages.h"
#include "sched/report.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	SMALLEST_STACK = 16 << 10,
	LARGEST_STACK = 32 << 20,
	LARGEST_GUARD = 1 << 20,
	USUAL_STACK = 64 << 10,
	USUAL_MAIN_STACK = 1 << 20,
	USUAL_GUARD = 16 << 10,
};

/* About what a sleep and its wake-up cost: who spins longer would better have slept. */
#define USUAL_SPIN_NS INT64_C(50000)
#define USUAL_STOP_TIMEOUT_NS INT64_C(10000000000)

/* Sizes of the structure in the releases so far; the newest last. */
#define FIRST_SIZE (offsetof(grove_options, reserved) + sizeof(((grove_options *)0)->reserved))

/* ---- what the program gave ---- */

static int copy_given(const grove_options *given, grove_options *to)
{
	const unsigned char *bytes = (const unsigned char *)given;

	memset(to, 0, sizeof(*to));
	to->size = sizeof(*to);
	if (given == NULL)
		return 0;

	if (given->size < FIRST_SIZE) {
		gv_log(GROVE_LOG_ERROR,
		       "options: size is %zu, less than the %zu of the first release; "
		       "use GROVE_OPTIONS_INIT",
		       given->size, FIRST_SIZE);
		return -EINVAL;
	}
	memcpy(to, given, GV_MIN(given->size, sizeof(*to)));
	to->size = sizeof(*to);
	for (size_t i = sizeof(*to); i < given->size; i++) {
		if (bytes[i] != 0) {
			gv_log(GROVE_LOG_ERROR,
			       "options: byte %zu is set, which belongs to a newer release", i);
			return -E2BIG;
		}
	}
	for (size_t i = 0; i < sizeof(to->reserved); i++) {
		if (to->reserved[i] != 0) {
			gv_log(GROVE_LOG_ERROR, "options: the field reserved is not zero");
			return -E2BIG;
		}
	}
	return 0;
}

/* ---- the environment ---- */

/* All of the text is a number: decimal, or hexadecimal with 0x. */
static bool read_unsigned(const char *text, uint64_t most, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false; /* strtoull would skip spaces and accept a sign */
	bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	errno = 0;
	unsigned long long value = strtoull(text, &end, hexadecimal ? 16 : 10);
	if (errno != 0 || *end != '\0' || value > most)
		return false;
	*out = value;
	return true;
}

static bool read_bytes(const char *text, size_t *out)
{
	char digits[24];
	size_t length = strlen(text);
	unsigned shift = 0;
	uint64_t value;

	if (length == 0 || length >= sizeof(digits))
		return false;
	memcpy(digits, text, length + 1);
	switch (digits[length - 1]) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift != 0)
		digits[length - 1] = '\0';
	if (!read_unsigned(digits, SIZE_MAX >> shift, &value) || value == 0)
		return false;
	*out = (size_t)value << shift;
	return true;
}

/* Which of the words, or -1. */
static int read_word(const char *text, const char *const *words, int count)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	return -1;
}

static bool set_hubs(grove_options *o, const char *text)
{
	uint64_t value = 0;

	if (strcmp(text, "auto") != 0 && (!read_unsigned(text, UINT32_MAX, &value) || value == 0))
		return false;
	o->hubs = (uint32_t)value;
	return true;
}

static bool set_stack_size(grove_options *o, const char *text)
{
	return read_bytes(text, &o->stack_size);
}

static bool set_order(grove_options *o, const char *text)
{
	static const char *const words[] = { "fast", "strict" }; /* enum grove_order */
	int word = read_word(text, words, GV_ARRAY_LEN(words));

	o->order = (uint32_t)word;
	return word >= 0;
}

static bool set_pin(grove_options *o, const char *text)
{
	static const char *const words[] = { "auto", "on", "off" }; /* enum grove_pin_mode */
	int word = read_word(text, words, GV_ARRAY_LEN(words));

	o->pin = (uint32_t)word;
	return word >= 0;
}

static bool set_spin(grove_options *o, const char *text)
{
	bool negative = text[0] == '-';
	uint64_t value;

	if (!read_unsigned(text + negative, INT64_MAX, &value))
		return false;
	o->spin_ns = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

static bool set_seed(grove_options *o, const char *text)
{
	return read_unsigned(text, UINT64_MAX, &o->seed);
}

static bool set_max_greenlets(grove_options *o, const char *text)
{
	return read_unsigned(text, UINT64_MAX, &o->max_greenlets);
}

static bool set_backtraces(grove_options *o, const char *text)
{
	static const char *const words[] = { "0", "1" };
	int word = read_word(text, words, GV_ARRAY_LEN(words));

	o->backtraces = word == 1;
	return word >= 0;
}

static const struct {
	const char *name; /* behind GROVE_ */
	bool (*set)(grove_options *options, const char *text);
} variables[] = {
	{ "HUBS", set_hubs },
	{ "STACK_SIZE", set_stack_size },
	{ "ORDER", set_order },
	{ "SPIN_NS", set_spin },
	{ "PIN", set_pin },
	{ "SEED", set_seed },
	{ "MAX_GREENLETS", set_max_greenlets },
	{ "BACKTRACES", set_backtraces },
};

static int read_variable(const char *name, grove_options *o)
{
	const char *value = strchr(name, '=');
	size_t length = value != NULL ? (size_t)(value - name) : 0;

	for (size_t i = 0; value != NULL && i < GV_ARRAY_LEN(variables); i++) {
		if (strlen(variables[i].name) != length ||
		    memcmp(variables[i].name, name, length) != 0)
			continue;
		if (variables[i].set(o, value + 1))
			return 0;
		gv_log(GROVE_LOG_ERROR, "environment: GROVE_%s has no meaning here", name);
		return -EINVAL;
	}
	/* It may be the program's own, so the start goes on. */
	gv_log(GROVE_LOG_WARNING, "environment: GROVE_%.*s means nothing to Grove",
	       (int)GV_MIN(value != NULL ? length : strlen(name), (size_t)INT_MAX), name);
	return 0;
}

static int read_environment(char *const *environment, grove_options *o)
{
	for (; environment != NULL && *environment != NULL; environment++) {
		if (strncmp(*environment, "GROVE_", 6) != 0)
			continue;
		int rc = read_variable(*environment + 6, o);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- bounds ---- */

static int refuse(const char *what, uint64_t value)
{
	gv_log(GROVE_LOG_ERROR, "options: %s is %llu, which is out of bounds", what,
	       (unsigned long long)value);
	return -EINVAL;
}

static bool stack_fits(size_t bytes)
{
	return bytes == 0 || (bytes >= SMALLEST_STACK && bytes <= LARGEST_STACK);
}

static int check_bounds(const grove_options *o)
{
	if (o->hubs > GROVE_MAX_HUBS)
		return refuse("hubs", o->hubs);
	if (o->pin > GROVE_PIN_OFF)
		return refuse("pin", o->pin);
	if (o->order > GROVE_ORDER_STRICT)
		return refuse("order", o->order);
	if (o->guard > GROVE_GUARD_NONE)
		return refuse("guard", o->guard);
	if (o->guard_size > LARGEST_GUARD)
		return refuse("guard_size", o->guard_size);
	if (!stack_fits(o->stack_size))
		return refuse("stack_size", o->stack_size);
	if (!stack_fits(o->main_stack_size))
		return refuse("main_stack_size", o->main_stack_size);
	if (o->order == GROVE_ORDER_STRICT && o->hubs > 1) {
		gv_log(GROVE_LOG_ERROR, "options: the strict order needs one hub, not %u", o->hubs);
		return -EINVAL;
	}
	if ((o->allocator.allocate == NULL) != (o->allocator.release == NULL)) {
		gv_log(GROVE_LOG_ERROR, "options: an allocator needs both of its functions");
		return -EINVAL;
	}
	return 0;
}

/* ---- what was left to us ---- */

static void choose_hubs(struct gv_settings *s)
{
	grove_options *o = &s->options;
	size_t cpus = gv_os_cpu_list(NULL, 0);
	unsigned quota = gv_os_cpu_count();

	if (o->hubs == 0 && o->order == GROVE_ORDER_STRICT)
		o->hubs = 1;
	s->follow_quota = o->hubs == 0;
	if (s->follow_quota) {
		/* All that a larger quota could ever use; those beyond it sleep until then. */
		o->hubs = (uint32_t)GV_MIN(cpus, (size_t)GROVE_MAX_HUBS);
		s->active = GV_MIN(quota, o->hubs);
	} else {
		s->active = o->hubs;
	}
	if (o->spin_ns == 0 && s->active > 1 && s->active <= quota)
		o->spin_ns = USUAL_SPIN_NS;
	else if (o->spin_ns < 0)
		o->spin_ns = 0;
}

static uint64_t new_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint64_t)gv_clock_ns() * UINT64_C(0x9e3779b97f4a7c15);
	return seed != 0 ? seed : 1;
}

/* Whether this kernel puts guards into page tables: try it. */
static int probe_advised_guards(void)
{
	size_t page = gv_os_page_size();
	void *memory;
	int error = 0;
	int rc = gv_pages_map(page, &memory);

	if (rc < 0)
		return rc;
	struct iovec range = { .iov_base = memory, .iov_len = page };
	size_t guarded = gv_pages_guard_advised(&range, 1, &error);
	gv_pages_unmap(memory, page);
	if (guarded == 1)
		return 0;
	gv_log(GROVE_LOG_ERROR, "options: this kernel has no MADV_GUARD_INSTALL (error %d)",
	       -error);
	return -ENOTSUP;
}

static int choose_stacks(struct gv_settings *s)
{
	grove_options *o = &s->options;

	if (o->stack_size == 0)
		o->stack_size = USUAL_STACK;
	if (o->main_stack_size == 0)
		o->main_stack_size = USUAL_MAIN_STACK;
	if (o->guard_size == 0)
		o->guard_size = USUAL_GUARD;
	s->stacks = (struct gv_stack_config){ .bytes = o->stack_size, .guard = o->guard_size };
	switch ((enum grove_guard_mode)o->guard) {
	case GROVE_GUARD_AUTO:
		break;
	case GROVE_GUARD_MADVISE:
		s->stacks.no_protect = true;
		return probe_advised_guards();
	case GROVE_GUARD_MPROTECT:
		s->stacks.no_advised = true;
		break;
	case GROVE_GUARD_CANARY:
		s->stacks.no_advised = true;
		s->stacks.no_protect = true;
		break;
	case GROVE_GUARD_NONE:
		s->stacks.guard = GV_STACK_NO_GUARD;
		break;
	}
	return 0;
}

int gv_options_resolve(const grove_options *given, char *const *environment,
		       struct gv_settings *out)
{
	struct gv_settings s = { .follow_quota = false };
	int rc = copy_given(given, &s.options);

	if (rc == 0)
		rc = read_environment(environment, &s.options);
	if (rc == 0)
		rc = check_bounds(&s.options);
	if (rc == 0)
		rc = choose_stacks(&s);
	if (rc < 0)
		return rc;
	choose_hubs(&s);
	if (s.options.stop_timeout_ns == 0)
		s.options.stop_timeout_ns = USUAL_STOP_TIMEOUT_NS;
	if (s.options.seed == 0)
		s.options.seed = new_seed();
	*out = s;
	return 0;
}
