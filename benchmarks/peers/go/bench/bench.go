// SPDX-License-Identifier: MIT

// The Go side of the benchmarks: the same cases, options and output as the C programs.
// Each run is a fresh process: with more than one, this program starts itself again.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// One run of one case.
type bench struct {
	what    *workload
	hubs    int
	size    int
	rounds  int
	figures []figure
	samples []float64
}

type workload struct {
	name, unit string
	run        func(b *bench)
	hubs       []int
	size       int
	rounds     int
	quickSize  int // 0: as size
	quickRound int // 0: as rounds
	touchEach  int // bytes per unit of size to touch before the run
}

type figure struct {
	Name   string   `json:"name"`
	Impl   string   `json:"impl"`
	Hubs   int      `json:"hubs"`
	Unit   string   `json:"unit"`
	Value  float64  `json:"value"`
	P99    *float64 `json:"p99"`
	Runs   int      `json:"runs"`
	Spread float64  `json:"spread"`
	Size   int      `json:"size"`
}

func (b *bench) value(v float64) { b.extra(b.what.name, b.what.unit, v) }

func (b *bench) extra(name, unit string, v float64) {
	b.figures = append(b.figures, figure{Name: name, Impl: "go", Hubs: b.hubs, Unit: unit,
		Value: v, Runs: 1, Size: b.size})
}

func (b *bench) sample(v float64) { b.samples = append(b.samples, v) }

// The median of the samples is the run's figure.
func (b *bench) report() {
	sort.Float64s(b.samples)
	b.value(median(b.samples))
	if n := len(b.samples); n >= 20 {
		p99 := b.samples[(n-1)*99/100]
		b.figures[len(b.figures)-1].P99 = &p99
	}
	b.samples = nil
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

func require(ok bool, what string, got, wanted int64) {
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: wrong result: %s is %d, wanted %d\n", what, got, wanted)
		os.Exit(1)
	}
}

// The clock of the C programs: nanoseconds, monotonic.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }

func cpuSeconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func statusKiB(field string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, field+":") {
			kib, _ := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			return kib
		}
	}
	return -1
}

// Faults that much memory in, gives it back, and lets VmHWM forget it: see touch() of bench.c.
func touch(bytes int) {
	if bytes == 0 {
		return
	}
	p, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		require(false, "memory to touch", 0, int64(bytes))
	}
	for i := 0; i < bytes; i += 4096 {
		p[i] = 1
	}
	syscall.Munmap(p)
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		fmt.Fprintf(os.Stderr, "bench: peaks of memory are too high: %v\n", err)
	}
}

// The same pseudo-random numbers as bench_mix().
func mix(index uint64) uint64 {
	x := index*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019
	x ^= x >> 29
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

func pick(value, quick, fallback int) int {
	if value != 0 {
		return value
	}
	if quick != 0 {
		return quick
	}
	return fallback
}

// Runs the case in processes of their own and merges their lines.
func runAgain(name string, hubs, runs int, arguments []string) error {
	values := map[string][]float64{}
	p99s := map[string][]float64{}
	var order []figure
	for run := 0; run < runs; run++ {
		command := exec.Command(os.Args[0], append(arguments, "--case", name,
			"--hubs", strconv.Itoa(hubs), "--runs", "1")...)
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			var f figure
			if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
				return err
			}
			if run == 0 {
				order = append(order, f)
			}
			values[f.Name] = append(values[f.Name], f.Value)
			if f.P99 != nil {
				p99s[f.Name] = append(p99s[f.Name], *f.P99)
			}
		}
	}
	for _, f := range order {
		v := values[f.Name]
		sort.Float64s(v)
		f.Value = median(v)
		f.Runs = runs
		if f.Value != 0 {
			f.Spread = (v[len(v)-1] - v[0]) / f.Value
		}
		if p := p99s[f.Name]; len(p) > 0 {
			sort.Float64s(p)
			m := median(p)
			f.P99 = &m
		}
		print(f)
	}
	return nil
}

func print(f figure) {
	f.Value = math.Round(f.Value*1e6) / 1e6
	line, err := json.Marshal(f)
	if err != nil {
		require(false, "figure", 0, 1)
	}
	fmt.Println(string(line))
}

func main() {
	only := flag.String("case", "", "run this case only")
	hubs := flag.Int("hubs", 0, "GOMAXPROCS")
	size := flag.Int("size", 0, "goroutines, leaves, or n of fib(n)")
	rounds := flag.Int("rounds", 0, "how often the measured thing happens")
	runs := flag.Int("runs", 1, "fresh processes per case")
	quick := flag.Bool("quick", false, "small sizes")
	list := flag.Bool("list", false, "print the names of the cases")
	flag.Parse()

	status, found := 0, *list
	for i := range workloads {
		w := &workloads[i]
		if *list {
			fmt.Println(w.name)
			continue
		}
		if *only != "" && *only != w.name {
			continue
		}
		found = true
		counts := w.hubs
		if *hubs != 0 {
			counts = []int{*hubs}
		}
		for _, n := range counts {
			if *runs == 1 && *only != "" && *hubs != 0 {
				runOnce(w, n, *size, *rounds, *quick)
				continue
			}
			arguments := []string{"--size", strconv.Itoa(*size),
				"--rounds", strconv.Itoa(*rounds), "--quick=" + strconv.FormatBool(*quick)}
			if err := runAgain(w.name, n, *runs, arguments); err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s failed: %v\n", w.name, err)
				status = 1
			}
		}
	}
	if !found {
		fmt.Fprintf(os.Stderr, "bench: no case is called %s\n", *only)
		status = 2
	}
	os.Exit(status)
}

func runOnce(w *workload, hubs, size, rounds int, quick bool) {
	quickSize, quickRounds := 0, 0
	if quick {
		quickSize, quickRounds = w.quickSize, w.quickRound
	}
	b := bench{what: w, hubs: hubs, size: pick(size, quickSize, w.size),
		rounds: pick(rounds, quickRounds, w.rounds)}
	runtime.GOMAXPROCS(hubs)
	touch(b.size * w.touchEach)
	w.run(&b)
	for _, f := range b.figures {
		print(f)
	}
}
