// Goroutines, preemption by signals, garbage collection, faults that are recovered from, signals, children.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

type node struct{ left, right *node }

func tree(n int) *node {
	if n == 0 {
		return &node{}
	}
	return &node{tree(n - 1), tree(n - 1)}
}
func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func main() {
	var wait sync.WaitGroup
	var lock sync.Mutex
	total := 0
	results := make(chan int, 100)
	for g := 0; g < 100; g++ {
		wait.Add(1)
		go func(g int) {
			defer wait.Done()
			x := g
			for i := 0; i < 20000; i++ {
				x = (x*31 + i) % 1000003
			}
			lock.Lock()
			total += x
			lock.Unlock()
			results <- x
		}(g)
	}
	wait.Wait()
	close(results)
	all := []int{}
	for x := range results {
		all = append(all, x)
	}
	sort.Ints(all)
	fmt.Println("goroutines", total, all[0], all[99])
	// a loop without calls: only a preemption signal (SIGURG) lets the collector and the ticker go on
	stop := false
	go func() {
		for i := 0; ; i++ {
			if stop && i < 0 {
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond)
	runtime.GC()
	fmt.Println("preempted")
	nodes := 0
	for i := 0; i < 8; i++ {
		nodes += tree(14).count()
	}
	fmt.Println("trees", nodes)
	caught := 0
	for i := 0; i < 100; i++ {
		func() {
			defer func() {
				if recover() != nil {
					caught++
				}
			}()
			var n *node
			n.count()
		}()
	}
	fmt.Println("nil pointers", caught)
	notes := make(chan os.Signal, 10)
	signal.Notify(notes, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println("signal", <-notes)
	out, err := exec.Command("/bin/echo", "spawned").Output()
	fmt.Println(strings.TrimSpace(string(out)), err)
	_, err = exec.Command("/no/such/program").Output()
	fmt.Println(err)
}
