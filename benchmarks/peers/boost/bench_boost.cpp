/* SPDX-License-Identifier: MIT */
/*
 * bench_boost.cpp - the Boost.Fiber side of the benchmarks: the same cases and options.
 *
 * Settings, each the better one of those tried on two cores:
 *   one hub     round_robin, stacks from pooled_fixedsize_stack
 *   more hubs   work_stealing, stacks from malloc (a pool is not safe when a fiber ends on another
 *               thread than the one it began on).  Idle threads suspend; only in skynet and fib,
 *               where there is always something to steal, they do not
 *   launch      dispatch (the child runs at once) where the parent is going to join it, post where
 *               children are created long before they are needed
 *   malloc      keeps what it has, and maps no block on its own: the kernel's limit on mappings
 *               would end a run at 65,000 fibers.  Stacks are 16 KiB
 */
#include "bench.h"

#include <boost/fiber/all.hpp>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>
#include <pthread.h>

namespace fibers = boost::fibers;
using fibers::fiber;

namespace
{

constexpr std::size_t stack_bytes = 16 * 1024;

/* ---- threads --------------------------------------------------------------------------------- */

enum class idle { suspends, spins };

void worker(unsigned hubs, idle how, pthread_barrier_t *ready)
{
	fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(hubs, how == idle::suspends);
	pthread_barrier_wait(ready);
	fibers::mutex lock;
	fibers::condition_variable never;
	std::unique_lock<fibers::mutex> held(lock);
	for (;;)
		never.wait(held);
}

/* The run's process ends with _exit(), so nobody has to end the workers. */
void start(const struct bench *b, idle how = idle::suspends)
{
	if (b->hubs == 1)
		return;
	static pthread_barrier_t ready;
	pthread_barrier_init(&ready, nullptr, b->hubs);
	for (unsigned i = 1; i < b->hubs; i++)
		std::thread(worker, b->hubs, how, &ready).detach();
	fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(b->hubs,
								      how == idle::suspends);
	pthread_barrier_wait(&ready);
}

fibers::pooled_fixedsize_stack &pool()
{
	static fibers::pooled_fixedsize_stack stacks(stack_bytes);
	return stacks;
}

template <typename Body> fiber spawn(const struct bench *b, fibers::launch how, Body &&body)
{
	if (b->hubs == 1)
		return fiber(how, std::allocator_arg, pool(), std::forward<Body>(body));
	return fiber(how, std::allocator_arg, fibers::fixedsize_stack(stack_bytes),
		     std::forward<Body>(body));
}

/* One-shot event for any number of fibers. */
class event
{
	fibers::mutex lock_;
	fibers::condition_variable changed_;
	bool sent_ = false;

      public:
	void wait()
	{
		std::unique_lock<fibers::mutex> held(lock_);
		while (!sent_)
			changed_.wait(held);
	}

	void send()
	{
		std::unique_lock<fibers::mutex> held(lock_);
		sent_ = true;
		held.unlock();
		changed_.notify_all();
	}
};

/* ---- yield, spawn, join ---------------------------------------------------------------------- */

void yield(struct bench *b)
{
	std::uint64_t each = b->rounds / b->size, total = 0;
	std::vector<std::uint64_t> turns(b->size);
	std::vector<fiber> all;
	event begin;

	start(b);
	for (std::uint64_t i = 0; i < b->size; i++)
		all.push_back(spawn(b, fibers::launch::dispatch, [&, i] {
			begin.wait();
			for (std::uint64_t j = 0; j < each; j++) {
				boost::this_fiber::yield();
				turns[i]++;
			}
		}));
	std::int64_t ns = -bench_clock_ns();
	begin.send();
	for (fiber &f : all)
		f.join();
	ns += bench_clock_ns();
	for (std::uint64_t t : turns)
		total += t;
	bench_require(total == each * b->size, "yields", (std::int64_t)total,
		      (std::int64_t)(each * b->size));
	bench_value(b, (double)ns / (double)total, NAN);
}

void spawn_join(struct bench *b)
{
	std::uint64_t count = 0;

	start(b);
	auto rounds = [&](std::uint64_t n) {
		for (std::uint64_t i = 0; i < n; i++)
			spawn(b, fibers::launch::dispatch, [&] { count++; }).join();
	};
	rounds(b->rounds / 10);
	count = 0;
	std::int64_t ns = -bench_clock_ns();
	rounds(b->rounds);
	ns += bench_clock_ns();
	bench_require(count == b->rounds, "children", (std::int64_t)count, (std::int64_t)b->rounds);
	bench_value(b, (double)ns / (double)b->rounds, NAN);
}

void spawn_batch(struct bench *b)
{
	std::uint64_t wanted = b->size * (b->size - 1) / 2;

	start(b);
	for (std::uint64_t round = 0; round < b->rounds; round++) {
		std::int64_t ns = -bench_clock_ns();
		{
			std::vector<std::uint64_t> values(b->size);
			std::vector<fiber> all(b->size);
			std::uint64_t sum = 0;

			for (std::uint64_t i = 0; i < b->size; i++)
				all[i] = spawn(b, fibers::launch::post,
					       [&values, i] { values[i] = i; });
			for (fiber &f : all)
				f.join();
			for (std::uint64_t v : values)
				sum += v;
			bench_require(sum == wanted, "sum", (std::int64_t)sum,
				      (std::int64_t)wanted);
		}
		ns += bench_clock_ns();
		if (round == 0) {
			bench_value(b, (double)ns / (double)b->size, NAN);
			bench_extra(b, "spawn_batch_peak", nullptr, "MiB",
				    (double)bench_status_kib("VmHWM") / 1024, NAN);
		} else if (round == 1) {
			bench_extra(b, "spawn_batch_warm", nullptr, "ns",
				    (double)ns / (double)b->size, NAN);
		}
	}
}

/* ---- fork and join --------------------------------------------------------------------------- */

std::uint64_t skynet_node(const struct bench *b, std::uint64_t first, std::uint64_t size)
{
	if (size == 1)
		return first;
	std::uint64_t sums[10], sum = 0;
	fiber children[10];
	for (std::uint64_t i = 0; i < 10; i++)
		children[i] = spawn(b, fibers::launch::dispatch, [=, &sums] {
			sums[i] = skynet_node(b, first + i * size / 10, size / 10);
		});
	for (fiber &f : children)
		f.join();
	for (std::uint64_t s : sums)
		sum += s;
	return sum;
}

void skynet(struct bench *b)
{
	std::uint64_t wanted = b->size * (b->size - 1) / 2;

	start(b, idle::spins);
	for (std::uint64_t round = 0; round < b->rounds; round++) {
		std::int64_t ns = -bench_clock_ns();
		std::uint64_t sum = skynet_node(b, 0, b->size);
		ns += bench_clock_ns();
		bench_require(sum == wanted, "sum", (std::int64_t)sum, (std::int64_t)wanted);
		bench_sample(b, (double)ns / 1e6);
	}
	bench_samples(b, nullptr, nullptr);
	bench_extra(b, "skynet_peak", nullptr, "MiB", (double)bench_status_kib("VmHWM") / 1024,
		    NAN);
}

std::uint64_t fib(const struct bench *b, std::uint64_t n)
{
	if (n < 2)
		return n;
	std::uint64_t other = 0;
	fiber child = spawn(b, fibers::launch::dispatch, [=, &other] { other = fib(b, n - 1); });
	std::uint64_t mine = fib(b, n - 2);
	child.join();
	return mine + other;
}

void fibonacci(struct bench *b)
{
	std::uint64_t before = 1, wanted = 0;

	for (std::uint64_t i = 0; i < b->size; i++) {
		std::uint64_t next = before + wanted;
		before = wanted;
		wanted = next;
	}
	start(b, idle::spins);
	for (std::uint64_t round = 0; round < b->rounds; round++) {
		std::int64_t ns = -bench_clock_ns();
		std::uint64_t got = fib(b, b->size);
		ns += bench_clock_ns();
		bench_require(got == wanted, "fib", (std::int64_t)got, (std::int64_t)wanted);
		bench_sample(b, (double)ns / 1e6);
	}
	bench_samples(b, nullptr, nullptr);
}

/* ---- waiting and waking ---------------------------------------------------------------------- */

void pingpong(struct bench *b)
{
	start(b);
	fibers::unbuffered_channel<std::uint64_t> ping, pong;
	std::uint64_t seen = 0, warm = b->rounds / 10;
	fiber other = spawn(b, fibers::launch::post, [&] {
		std::uint64_t v;
		while (ping.pop(v) == fibers::channel_op_status::success) {
			seen = v;
			pong.push(v);
		}
	});
	auto rounds = [&](std::uint64_t from, std::uint64_t n) {
		for (std::uint64_t i = from; i < from + n; i++) {
			std::uint64_t got = 0;
			ping.push(i);
			pong.pop(got);
			if (got != i)
				bench_require(false, "pong", (std::int64_t)got, (std::int64_t)i);
		}
	};
	std::int64_t ns = 0;
	spawn(b, fibers::launch::post, [&] {
		rounds(0, warm);
		ns = -bench_clock_ns();
		rounds(warm, b->rounds);
		ns += bench_clock_ns();
		ping.close();
	}).join();
	other.join();
	bench_require(seen == warm + b->rounds - 1, "last round", (std::int64_t)seen,
		      (std::int64_t)(warm + b->rounds - 1));
	bench_value(b, (double)ns / (double)b->rounds, NAN);
}

/* Waiters that wait for one event after the other; each event is sent once. */
struct crowd {
	std::uint64_t size;
	std::vector<event> events;
	std::atomic<std::uint64_t> arrived{ 0 }, ran{ 0 };
	fibers::buffered_channel<int> here{ 2 }, done{ 2 };

	crowd(std::uint64_t n, std::uint64_t rounds) : size(n), events(rounds + 1)
	{
	}

	void wait()
	{
		for (event &e : events) {
			if ((arrived.fetch_add(1) + 1) % size == 0)
				here.push(1);
			e.wait();
			if ((ran.fetch_add(1) + 1) % size == 0)
				done.push(1);
		}
	}
};

/* Calls measured(before, sent, ran) for each round but the first. */
template <typename Measured> void crowd_rounds(struct bench *b, Measured measured)
{
	start(b);
	crowd c(b->size, b->rounds);
	std::vector<fiber> all(b->size);
	int token;
	for (fiber &f : all)
		f = spawn(b, fibers::launch::post, [&c] { c.wait(); });
	for (std::size_t i = 0; i < c.events.size(); i++) {
		c.here.pop(token);
		boost::this_fiber::sleep_for(std::chrono::milliseconds(1));
		std::int64_t before = bench_clock_ns();
		c.events[i].send();
		std::int64_t sent = bench_clock_ns();
		c.done.pop(token);
		std::int64_t ran = bench_clock_ns();
		if (i > 0)
			measured(before, sent, ran);
	}
	for (fiber &f : all)
		f.join();
	std::uint64_t wanted = b->size * c.events.size();
	bench_require(c.ran == wanted, "wake-ups", (std::int64_t)c.ran.load(),
		      (std::int64_t)wanted);
}

void fanout(struct bench *b)
{
	crowd_rounds(b, [b](std::int64_t before, std::int64_t, std::int64_t ran) {
		bench_sample(b, (double)(ran - before) / (double)b->size);
	});
	bench_samples(b, nullptr, nullptr);
}

void fanout_send(struct bench *b)
{
	crowd_rounds(b, [b](std::int64_t before, std::int64_t sent, std::int64_t) {
		bench_sample(b, (double)(sent - before) / 1e3);
	});
	bench_samples(b, nullptr, nullptr);
}

/* ---- many at rest ---------------------------------------------------------------------------- */

struct resting {
	event until;
	fibers::buffered_channel<int> here{ 2 };
	std::atomic<std::uint64_t> arrived{ 0 }, ran{ 0 };
	std::vector<fiber> all;
};

/* Returns when the last fiber is about to wait. */
void rest(struct bench *b, struct resting *r)
{
	int token;

	r->all.resize(b->size);
	for (std::uint64_t i = 0; i < b->size; i++) {
		r->all[i] = spawn(b, fibers::launch::post, [b, r] {
			if (r->arrived.fetch_add(1) + 1 == b->size)
				r->here.push(1);
			r->until.wait();
			r->ran.fetch_add(1);
		});
		if (i % 64 == 63)
			boost::this_fiber::yield();
	}
	r->here.pop(token);
}

void rest_end(struct bench *b, struct resting *r)
{
	r->until.send();
	for (fiber &f : r->all)
		f.join();
	bench_require(r->ran == b->size, "ended", (std::int64_t)r->ran.load(),
		      (std::int64_t)b->size);
}

void idle_case(struct bench *b)
{
	struct resting r;
	double n = (double)b->size;

	start(b);
	std::int64_t rss = bench_status_kib("VmRSS"), pte = bench_status_kib("VmPTE");
	std::int64_t ns = -bench_clock_ns();
	rest(b, &r);
	ns += bench_clock_ns();
	boost::this_fiber::sleep_for(std::chrono::milliseconds(5));
	rss = bench_status_kib("VmRSS") - rss;
	pte = bench_status_kib("VmPTE") - pte;
	bench_extra(b, "idle_create", nullptr, "ns", (double)ns / n, NAN);
	bench_extra(b, "idle_memory", nullptr, "B", (double)rss * 1024 / n, NAN);
	bench_extra(b, "idle_memory_pte", nullptr, "B", (double)pte * 1024 / n, NAN);
	rest_end(b, &r);
}

void timers_cpu(struct bench *b)
{
	std::vector<fiber> all(b->size);
	std::int64_t longest = 0;

	start(b);
	double cpu = -bench_cpu_s();
	std::int64_t wall = -bench_clock_ns();
	for (std::uint64_t i = 0; i < b->size; i++) {
		std::int64_t ns = (std::int64_t)(bench_mix(i) % (b->size * 1000));
		longest = ns > longest ? ns : longest;
		all[i] = spawn(b, fibers::launch::post, [ns] {
			boost::this_fiber::sleep_for(std::chrono::nanoseconds(ns));
		});
	}
	for (fiber &f : all)
		f.join();
	cpu += bench_cpu_s();
	wall += bench_clock_ns();
	bench_require(wall >= longest, "ns slept in all", wall, longest);
	bench_value(b, cpu, NAN);
	bench_extra(b, "timers_wall", nullptr, "s", (double)wall / 1e9, NAN);
}

const std::uint64_t million = 1000000;
const std::uint64_t each = 11000; /* bytes touched per fiber: a fiber's pages, and malloc's part */

/* Quick sizes are smaller than those of the others: a run would take ten seconds and 9 GB. */
const struct bench_case cases[] = {
	{ "yield/2", "ns", yield, { 1 }, 2, 10 * million, 0, 2 * million, 0 },
	{ "yield/1000", "ns", yield, { 1 }, 1000, 10 * million, 0, 2 * million, 0 },
	{ "spawn_join", "ns", spawn_join, { 1, 2 }, 1, million, 0, 200000, 0 },
	{ "spawn_batch", "ns", spawn_batch, { 2 }, million, 2, 20000, 0, each },
	{ "skynet", "ms", skynet, { 2 }, million, 1, 100000, 0, 2000 },
	{ "fib", "ms", fibonacci, { 2 }, 32, 1, 24, 0, 0 },
	{ "pingpong", "ns", pingpong, { 1, 2 }, 2, million, 0, 100000, 0 },
	{ "fanout", "ns", fanout, { 2 }, 10000, 100, 0, 20, 0 },
	{ "fanout_send/10", "us", fanout_send, { 2 }, 10, 500, 0, 100, 0 },
	{ "fanout_send/17", "us", fanout_send, { 2 }, 17, 500, 0, 100, 0 },
	{ "fanout_send/1000", "us", fanout_send, { 2 }, 1000, 500, 0, 100, 0 },
	{ "fanout_send/10000", "us", fanout_send, { 2 }, 10000, 200, 0, 20, 0 },
	{ "fanout_send/100000", "us", fanout_send, { 2 }, 100000, 20, 0, 5, 0 },
	{ "fanout_send/1000000", "us", fanout_send, { 2 }, million, 5, 0, 3, 0 },
	{ "idle", "", idle_case, { 2 }, million, 1, 20000, 0, each },
	{ "timers_cpu", "s", timers_cpu, { 2 }, million, 1, 20000, 0, each },
};

} // namespace

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
	mallopt(M_TOP_PAD, 64 << 20);
	return bench_main(argc, argv, "boost", cases, BENCH_ARRAY_LEN(cases));
}
