// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const million = 1000000

var workloads = []workload{
	{"yield/2", "ns", yield, []int{1}, 2, 10 * million, 0, 2 * million, 0},
	{"yield/1000", "ns", yield, []int{1}, 1000, 10 * million, 0, 2 * million, 0},
	{"spawn_join", "ns", spawnJoin, []int{1, 2}, 1, 2 * million, 0, 400000, 0},
	{"spawn_batch", "ns", spawnBatch, []int{2}, million, 2, 0, 0, 200},
	{"skynet", "ms", skynet, []int{2}, million, 3, 0, 1, 250},
	{"fib", "ms", fibonacci, []int{2}, 32, 1, 30, 0, 0},
	{"pingpong", "ns", pingpong, []int{1, 2}, 2, 2 * million, 0, 400000, 0},
	{"fanout", "ns", fanout, []int{2}, 10000, 200, 0, 40, 0},
	{"fanout_send/10", "us", fanoutSend, []int{2}, 10, 500, 0, 100, 0},
	{"fanout_send/17", "us", fanoutSend, []int{2}, 17, 500, 0, 100, 0},
	{"fanout_send/1000", "us", fanoutSend, []int{2}, 1000, 500, 0, 100, 0},
	{"fanout_send/10000", "us", fanoutSend, []int{2}, 10000, 200, 0, 20, 0},
	{"fanout_send/100000", "us", fanoutSend, []int{2}, 100000, 20, 0, 5, 0},
	{"fanout_send/1000000", "us", fanoutSend, []int{2}, million, 5, 0, 3, 0},
	{"idle", "", idleCase, []int{2}, million, 1, 100000, 0, 3000},
	{"timers_cpu", "s", timersCPU, []int{2}, million, 1, 100000, 0, 3000},
}

func yield(b *bench) {
	each := b.rounds / b.size
	turns := make([]int, b.size)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(b.size)
	done.Add(b.size)
	for i := 0; i < b.size; i++ {
		go func(mine *int) {
			ready.Done()
			<-start
			for j := 0; j < each; j++ {
				runtime.Gosched()
				*mine++
			}
			done.Done()
		}(&turns[i])
	}
	ready.Wait()
	begin := now()
	close(start)
	done.Wait()
	ns := now() - begin
	total := 0
	for _, t := range turns {
		total += t
	}
	require(total == each*b.size, "yields", int64(total), int64(each*b.size))
	b.value(float64(ns) / float64(total))
}

func spawnJoin(b *bench) {
	count := 0
	done := make(chan struct{})
	child := func() {
		count++
		done <- struct{}{}
	}
	rounds := func(n int) {
		for i := 0; i < n; i++ {
			go child()
			<-done
		}
	}
	rounds(b.rounds / 10)
	count = 0
	begin := now()
	rounds(b.rounds)
	ns := now() - begin
	require(count == b.rounds, "children", int64(count), int64(b.rounds))
	b.value(float64(ns) / float64(b.rounds))
}

func spawnBatch(b *bench) {
	for round := 0; round < b.rounds; round++ {
		begin := now()
		values := make([]uint64, b.size)
		var done sync.WaitGroup
		done.Add(b.size)
		for i := range values {
			go func(i int) {
				values[i] = uint64(i)
				done.Done()
			}(i)
		}
		done.Wait()
		var sum uint64
		for _, v := range values {
			sum += v
		}
		ns := now() - begin
		wanted := uint64(b.size) * uint64(b.size-1) / 2
		require(sum == wanted, "sum", int64(sum), int64(wanted))
		if round == 0 {
			b.value(float64(ns) / float64(b.size))
			b.extra("spawn_batch_peak", "MiB", float64(statusKiB("VmHWM"))/1024)
		} else if round == 1 {
			b.extra("spawn_batch_warm", "ns", float64(ns)/float64(b.size))
		}
	}
}

// A wait group and a slot per child: faster here than a channel of any capacity.
func skynetNode(first, size uint64) uint64 {
	if size == 1 {
		return first
	}
	var sums [10]uint64
	var done sync.WaitGroup
	done.Add(len(sums))
	for i := range sums {
		go func(i uint64) {
			sums[i] = skynetNode(first+i*size/10, size/10)
			done.Done()
		}(uint64(i))
	}
	done.Wait()
	var sum uint64
	for _, s := range sums {
		sum += s
	}
	return sum
}

func skynet(b *bench) {
	wanted := uint64(b.size) * uint64(b.size-1) / 2
	for round := 0; round < b.rounds; round++ {
		begin := now()
		sum := skynetNode(0, uint64(b.size))
		ns := now() - begin
		require(sum == wanted, "sum", int64(sum), int64(wanted))
		b.sample(float64(ns) / 1e6)
	}
	b.report()
	b.extra("skynet_peak", "MiB", float64(statusKiB("VmHWM"))/1024)
}

func fib(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	other := make(chan uint64, 1)
	go func() { other <- fib(n - 1) }()
	mine := fib(n - 2)
	return mine + <-other
}

func fibonacci(b *bench) {
	before, wanted := uint64(1), uint64(0)
	for i := 0; i < b.size; i++ {
		before, wanted = wanted, before+wanted
	}
	for round := 0; round < b.rounds; round++ {
		begin := now()
		got := fib(b.size)
		ns := now() - begin
		require(got == wanted, "fib", int64(got), int64(wanted))
		b.sample(float64(ns) / 1e6)
	}
	b.report()
}

func pingpong(b *bench) {
	ping, pong := make(chan int), make(chan int)
	last := make(chan int, 1)
	go func() {
		seen := 0
		for v := range ping {
			seen = v
			pong <- v
		}
		last <- seen
	}()
	rounds := func(from, n int) {
		for i := from; i < from+n; i++ {
			ping <- i
			if got := <-pong; got != i {
				require(false, "pong", int64(got), int64(i))
			}
		}
	}
	rounds(0, b.rounds/10)
	begin := now()
	rounds(b.rounds/10, b.rounds)
	ns := now() - begin
	close(ping)
	seen, wanted := <-last, b.rounds/10+b.rounds-1
	require(seen == wanted, "last round", int64(seen), int64(wanted))
	b.value(float64(ns) / float64(b.rounds))
}

// Waiters that wait for one channel after the other, each channel closed once.
type crowd struct {
	size    int64
	events  []chan struct{}
	arrived int64
	ran     int64
	here    chan struct{} // the last one is about to wait
	done    chan struct{} // the last one has run
}

func (c *crowd) wait() {
	for _, event := range c.events {
		if atomic.AddInt64(&c.arrived, 1)%c.size == 0 {
			c.here <- struct{}{}
		}
		<-event
		if atomic.AddInt64(&c.ran, 1)%c.size == 0 {
			c.done <- struct{}{}
		}
	}
}

// Calls measured for each round with the times before send, after send, and after all have run.
func crowdRounds(b *bench, measured func(before, sent, ran int64)) {
	c := &crowd{size: int64(b.size), here: make(chan struct{}, 1), done: make(chan struct{}, 1)}
	for i := 0; i <= b.rounds; i++ {
		c.events = append(c.events, make(chan struct{}))
	}
	for i := 0; i < b.size; i++ {
		go c.wait()
	}
	for i, event := range c.events {
		<-c.here
		time.Sleep(time.Millisecond)
		before := now()
		close(event)
		sent := now()
		<-c.done
		ran := now()
		if i > 0 {
			measured(before, sent, ran)
		}
	}
	wanted := int64(b.size) * int64(len(c.events))
	require(c.ran == wanted, "wake-ups", c.ran, wanted)
}

func fanout(b *bench) {
	crowdRounds(b, func(before, sent, ran int64) {
		b.sample(float64(ran-before) / float64(b.size))
	})
	b.report()
}

func fanoutSend(b *bench) {
	crowdRounds(b, func(before, sent, ran int64) { b.sample(float64(sent-before) / 1e3) })
	b.report()
}

// Creates b.size goroutines that wait for one channel; returns when the last is about to wait.
func idle(b *bench, event chan struct{}, ran *int64) {
	var arrived int64
	here := make(chan struct{}, 1)
	size := int64(b.size)
	for i := 0; i < b.size; i++ {
		go func() {
			if atomic.AddInt64(&arrived, 1) == size {
				here <- struct{}{}
			}
			<-event
			atomic.AddInt64(ran, 1)
		}()
		if i%64 == 63 {
			runtime.Gosched()
		}
	}
	<-here
}

func idleEnd(b *bench, event chan struct{}, ran *int64) {
	close(event)
	for wait := 0; atomic.LoadInt64(ran) < int64(b.size) && wait < 60000; wait++ {
		time.Sleep(time.Millisecond)
	}
	require(*ran == int64(b.size), "ended", *ran, int64(b.size))
}

func idleCase(b *bench) {
	var ran int64
	event := make(chan struct{})
	n := float64(b.size)
	rss, pte := statusKiB("VmRSS"), statusKiB("VmPTE")
	begin := now()
	idle(b, event, &ran)
	ns := now() - begin
	time.Sleep(5 * time.Millisecond)
	b.extra("idle_create", "ns", float64(ns)/n)
	b.extra("idle_memory", "B", float64(statusKiB("VmRSS")-rss)*1024/n)
	b.extra("idle_memory_pte", "B", float64(statusKiB("VmPTE")-pte)*1024/n)
	idleEnd(b, event, &ran)
}

func timersCPU(b *bench) {
	var longest int64
	var done sync.WaitGroup
	done.Add(b.size)
	cpu, begin := cpuSeconds(), now()
	for i := 0; i < b.size; i++ {
		ns := int64(mix(uint64(i)) % uint64(b.size*1000))
		if ns > longest {
			longest = ns
		}
		go func() {
			time.Sleep(time.Duration(ns))
			done.Done()
		}()
	}
	done.Wait()
	b.value(cpuSeconds() - cpu)
	wall := now() - begin
	require(wall >= longest, "ns slept in all", wall, longest)
	b.extra("timers_wall", "s", float64(wall)/1e9)
}
