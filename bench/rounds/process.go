// Package rounds measures systems side by side: it starts each one pinned to a processor of its own, drives it with the load
// generator on another, reads its processor time from the kernel's accounting, and takes turns, so that what disturbs the
// machine disturbs all of them.
package rounds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"golang.org/x/sys/unix"
)

// A System is something that stands between callers and a platform and can be measured.
type System interface {
	// Name is the system's name in tables.
	Name() string
	// Start starts it at the edge's end of wire in front of the platform at upstream, on processors cpus, and returns when it takes calls.
	Start(ctx context.Context, wire *Wire, upstream netip.AddrPort, cpus []int) (*Process, error)
	// Traits say how the load generator has to treat it.
	Traits() load.Traits
}

// A Process is a running system.
type Process struct {
	Target netip.AddrPort // where callers send to
	Inside netip.Addr     // where it sends to the platform from
	PID    int            // the root of its process tree
	cmd    *exec.Cmd
	exited chan error // what Wait returned
	stderr *lineWaiter
	clean  func()
	open   func(i int, a, b netip.AddrPort) (toA, toB netip.AddrPort, err error) // of a media system: have stream i relayed between a and b
}

// startTimeout is how long a system may take until it is ready, stopTimeout until it is gone after TERM.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 15 * time.Second
)

// startProcess starts cmd at the edge's end of wire on processors cpus and waits for a line of its stderr that contains ready.
func startProcess(ctx context.Context, wire *Wire, cmd *exec.Cmd, cpus []int, ready string) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan error, 1), stderr: &lineWaiter{want: ready, found: make(chan struct{})}, clean: func() {}}
	cmd.Stderr = p.stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", max(len(cpus), 1)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := startOn(wire, cmd, cpus); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.PID = cmd.Process.Pid
	go func() { p.exited <- cmd.Wait() }()
	select {
	case <-p.stderr.found:
		return p, nil
	case err := <-p.exited:
		return nil, fmt.Errorf("start %s: it ended (%v) before it was ready; it said: %s", cmd.Path, err, p.stderr.tail())
	case <-ctx.Done():
	case <-time.After(startTimeout):
	}
	p.kill()
	<-p.exited
	return nil, fmt.Errorf("start %s: not ready within %v; it said: %s", cmd.Path, startTimeout, p.stderr.tail())
}

// startOn starts cmd from a thread that is bound to cpus and at the edge's end of wire, both of which the child inherits.
// Empty cpus: no binding.
func startOn(wire *Wire, cmd *exec.Cmd, cpus []int) error {
	runtime.LockOSThread() // also keeps Pdeathsig from firing when an idle thread ends
	defer runtime.UnlockOSThread()
	if len(cpus) == 0 {
		return wire.edge.do(cmd.Start)
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	set := cpuSet(cpus)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	err := wire.edge.do(cmd.Start)
	return errors.Join(err, os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// Pin binds every thread of this process to cpus. Threads that start later inherit it.
func Pin(cpus []int) error {
	set := cpuSet(cpus)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("pin to processors %v: %w", cpus, err)
	}
	for _, task := range tasks {
		var tid int
		if _, err := fmt.Sscan(task.Name(), &tid); err != nil {
			return fmt.Errorf("pin to processors %v: thread %q: %w", cpus, task.Name(), err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin to processors %v: %w", cpus, err)
		}
	}
	return nil
}

func cpuSet(cpus []int) unix.CPUSet {
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	return set
}

// kill ends the process and its children at once.
func (p *Process) kill() { _ = syscall.Kill(-p.PID, syscall.SIGKILL) }

// Stop ends the process with TERM and returns the processor time of its whole life, its children's included, as wait4 gives it.
func (p *Process) Stop() (time.Duration, error) {
	defer p.clean()
	killer := time.AfterFunc(stopTimeout, p.kill)
	defer killer.Stop()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	if err := <-p.exited; err != nil {
		return 0, fmt.Errorf("stop %s: %w; it said: %s", p.cmd.Path, err, p.stderr.tail())
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
}

// keptOutput bounds how much of a system's stderr is kept for error messages.
const keptOutput = 64 << 10

// A lineWaiter is a writer that notices when a word has been written, and keeps the last bytes.
type lineWaiter struct {
	want  string
	found chan struct{}

	mu   sync.Mutex
	seen bool
	kept []byte
}

// Write implements io.Writer.
func (w *lineWaiter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, b...)
	if !w.seen && bytes.Contains(w.kept, []byte(w.want)) {
		w.seen = true
		close(w.found)
	}
	if len(w.kept) > keptOutput {
		w.kept = append(w.kept[:0], w.kept[len(w.kept)-keptOutput/2:]...)
	}
	return len(b), nil
}

func (w *lineWaiter) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.kept[max(0, len(w.kept)-2000):]))
}
