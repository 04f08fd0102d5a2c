/* SPDX-License-Identifier: MIT */
/*
 * stress_fifo.c - queues whose owners are each other's thieves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/fifo.h"

typedef struct gv_fifo queue;

static int queue_init(queue *q)
{
	return gv_fifo_init(q, 4);
}

static void queue_destroy(queue *q)
{
	gv_fifo_destroy(q);
}

static int queue_push(queue *q, uintptr_t item)
{
	return gv_fifo_push(q, item, true);
}

static uintptr_t queue_pop(queue *q, uint32_t choice)
{
	(void)choice;
	return gv_fifo_pop(q);
}

static size_t queue_steal(queue *q, struct gv_thief *thief, bool aged, uintptr_t out[], size_t room)
{
	return gv_fifo_steal(q, thief, aged, out, room);
}

#include "stress_queues.h"

/* Nothing is lost, nothing comes out twice. */
static void test_each_item_is_taken_once(void **state)
{
	(void)state;
	stress_queues("fifo");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_item_is_taken_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
