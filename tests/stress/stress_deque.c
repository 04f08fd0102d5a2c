/* SPDX-License-Identifier: MIT */
/*
 * stress_deque.c - deques whose owners are each other's thieves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/deque.h"

typedef struct gv_deque queue;

static int queue_init(queue *q)
{
	return gv_deque_init(q, 4);
}

static void queue_destroy(queue *q)
{
	gv_deque_destroy(q);
}

static int queue_push(queue *q, uintptr_t item)
{
	return gv_deque_push(q, item);
}

/* All the ways of an owner. */
static uintptr_t queue_pop(queue *q, uint32_t choice)
{
	uintptr_t newest;

	switch (choice % 16) {
	case 15:
		newest = gv_deque_take_oldest(q);
		if (newest != 0)
			return newest;
		break;
	case 14:
		newest = gv_deque_newest(q);
		if (newest != 0 && gv_deque_pop_if(q, newest))
			return newest;
		break;
	default:
		break;
	}
	return gv_deque_pop(q);
}

static size_t queue_steal(queue *q, struct gv_thief *thief, bool aged, uintptr_t out[], size_t room)
{
	return gv_deque_steal(q, thief, aged, out, room);
}

#include "stress_queues.h"

/* Nothing is lost, nothing comes out twice. */
static void test_each_item_is_taken_once(void **state)
{
	(void)state;
	stress_queues("deque");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_item_is_taken_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
