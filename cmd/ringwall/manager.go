package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A manager is the service manager that started this process and wants to hear how it goes, in the way of sd_notify(3). A nil one hears nothing.
type manager struct {
	watchdog time.Duration // how long it may hear nothing before it ends us; 0: for ever
	mu       sync.Mutex    // guards what follows, and the order of what is told
	conn     *net.UnixConn
	stopping bool
}

// findManager is the manager that the environment names, nil if it names none.
func findManager(env func(string) string) (*manager, error) {
	name := env("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // "@" in front: an abstract one
	if err != nil {
		return nil, fmt.Errorf("reach the service manager: %w", err)
	}
	m := &manager{conn: conn}
	if pid := env("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && n > 0 {
			m.watchdog = time.Duration(n) * time.Microsecond
		}
	}
	return m, nil
}

// hearing is how long the manager may take to take a message.
const hearing = time.Second

// tell sends one message of these lines, unless the end was told. What it does not take is lost: a service does not wait for its manager.
func (m *manager) tell(lines ...string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return
	}
	m.stopping = lines[0] == "STOPPING=1"
	_ = m.conn.SetWriteDeadline(time.Now().Add(hearing))
	_, _ = m.conn.Write([]byte(strings.Join(lines, "\n")))
}

// ready: the service works, with the settings that it has now.
func (m *manager) ready() { m.tell("READY=1") }

// reloading: the settings change; ready follows, whatever comes of it.
func (m *manager) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // there is such a clock
	m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)))
}

// stopTime is how long the end may take after the drain.
const stopTime = 15 * time.Second

// end: the service drains for up to limit and ends then, which may be longer than the manager would wait.
func (m *manager) end(limit time.Duration) {
	m.tell("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (limit+stopTime).Microseconds()), "STATUS=draining")
}

func (m *manager) close() error {
	if m == nil {
		return nil
	}
	return m.conn.Close()
}

// live tells the manager, twice in the time that it waits, that the service lives, until ctx ends. Who holds a lock for ever keeps status from its
// answer, so nothing is told then and the service is started anew.
func (s *service) live(ctx context.Context) {
	if s.manager == nil || s.manager.watchdog == 0 {
		<-ctx.Done()
		return
	}
	each(ctx, s.manager.watchdog/2, func(time.Time) {
		st := s.status()
		s.manager.tell("WATCHDOG=1", "STATUS="+st.brief())
	})
}

// brief is s in one line.
func (s *status) brief() string {
	text := fmt.Sprintf("%s, %s, %s", s.State, count(s.Bindings, "registration"), count(s.Calls, "call"))
	if n := len(s.Attention); n > 0 {
		text += fmt.Sprintf("; needs attention (%d): ringwall status", n)
	}
	return text
}
