// The contestants in Go.
//
//	go VARIANT WORKLOAD COUNT WARMUP SIZE
//
// What the arguments mean, and the line of JSON that every contestant prints, is told in
// driver/workloads.mjs.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

var (
	variant, workload   string
	count, warmup, size int
)

func main() {
	if len(os.Args) != 6 {
		os.Exit(64)
	}
	variant, workload = os.Args[1], os.Args[2]
	count, warmup, size = number(os.Args[3]), number(os.Args[4]), number(os.Args[5])
	loop := map[string]func(int){
		"parallel": parallel, "memory": parallel, "line": captures, "block": captures,
		"out": drain, "in": feed,
	}[workload]
	if loop == nil {
		loop = sequential
	}
	if workload == "startup" {
		loop(1)
		return
	}
	if workload == "memory" {
		mark("fresh")
	}
	if workload == "heap" || workload == "descriptors" {
		loop(warmup)
		hold()
	}
	loop(warmup)
	if workload == "memory" {
		mark("warm")
	}
	cpuBegin, begin := cpu(), time.Now()
	loop(count)
	seconds, cpuSeconds := time.Since(begin).Seconds(), cpu()-cpuBegin
	if workload == "memory" {
		mark("end")
		time.Sleep(time.Second)
		mark("idle")
	}
	fmt.Printf("{\"seconds\":%.9f,\"cpu\":%.6f}\n", seconds, cpuSeconds)
}

// ---- the loops

func run() {
	cmd := exec.Command(childPath("tiny"))
	if variant == "context" {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		cmd = exec.CommandContext(ctx, childPath("tiny"))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	check(cmd.Run())
}

func sequential(count int) {
	for range count {
		run()
	}
}

func parallel(count int) {
	left := make(chan struct{}, count)
	for range count {
		left <- struct{}{}
	}
	close(left)
	var group sync.WaitGroup
	for range size {
		group.Go(func() {
			for range left {
				run()
			}
		})
	}
	group.Wait()
}

func captures(count int) {
	for range count {
		cmd := exec.Command(childPath(workload))
		cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
		output, err := cmd.Output()
		check(err)
		if len(output) != size {
			os.Exit(3)
		}
	}
}

func drain(mebibytes int) {
	cmd := exec.Command(childPath("source"), strconv.Itoa(mebibytes))
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	stdout, err := cmd.StdoutPipe()
	check(err)
	check(cmd.Start())
	chunk, total := make([]byte, 1<<20), 0
	for {
		length, err := stdout.Read(chunk)
		total += length
		if err == io.EOF {
			break
		}
		check(err)
	}
	check(cmd.Wait())
	if total != mebibytes<<20 {
		os.Exit(3)
	}
}

func feed(mebibytes int) {
	cmd := exec.Command(childPath("sink"), strconv.Itoa(mebibytes))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	stdin, err := cmd.StdinPipe()
	check(err)
	check(cmd.Start())
	chunk := bytes.Repeat([]byte{'x'}, 64<<10)
	for range mebibytes * 16 {
		_, err := stdin.Write(chunk)
		check(err)
	}
	check(stdin.Close())
	check(cmd.Wait())
}

// ---- what a process may hold while it starts others

var (
	heap        []byte
	descriptors []*os.File
)

func hold() {
	if workload == "heap" {
		heap = make([]byte, size<<20)
		for i := 0; i < len(heap); i += 4096 {
			heap[i] = 1
		}
		return
	}
	for range size {
		file, err := os.Open("/dev/null")
		check(err)
		descriptors = append(descriptors, file)
	}
}

// The driver looks at this process, and then lets it go on.
func mark(name string) {
	fmt.Fprintln(os.Stderr, "MARK", name)
	if length, _ := os.Stdin.Read(make([]byte, 1)); length != 1 {
		os.Exit(2)
	}
}

func childPath(name string) string {
	return filepath.Join(os.Getenv("BENCH_CHILDREN"), name)
}

func cpu() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) * 1e-9
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
