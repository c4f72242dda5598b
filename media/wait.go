package media

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// turnEvents is how many sockets one turn of a loop serves, one packet each, so that none keeps the others waiting.
	turnEvents = 256
	// lull is how long no packet may come until the loop lets go of its processor, ms.
	lull = 10
	// crowd is from how many packets a second on it pays to let them gather (RelayConfig.Coalesce).
	crowd = 10_000
	// crowdWindow is over how long they are counted.
	crowdWindow = 50 * time.Millisecond
)

// A waiter waits for the sockets of a loop.
//
// A wake through the runtime's poller costs about 2 us more than one from epoll itself. But epoll blocks the thread without the scheduler's
// knowing, and so one of its processors, which NewRelay therefore adds. So while packets keep coming the loop waits in epoll, and when none has
// come for lull it waits in the poller, which has epoll's own descriptor in it. When the scheduler needs all its processors, as for a
// garbage collection, it sends the thread a signal; that ends the wait in epoll.
type waiter struct {
	ep     *os.File
	fd     uintptr // of ep
	raw    syscall.RawConn
	poll   func(fd uintptr) bool // look, made once so that nothing allocates
	events [turnEvents]unix.EpollEvent
	awake  bool // packets keep coming

	nap     *atomic.Int64 // RelayConfig.Coalesce, ns; Relay.SetCoalesce may change it
	crowded bool
	window  time.Time // when counting began
	counted int
}

// open makes the epoll descriptor.
func (w *waiter) open() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(ep, true); err != nil {
		unix.Close(ep)
		return os.NewSyscallError("fcntl", err)
	}
	w.ep, w.fd, w.poll = os.NewFile(uintptr(ep), "epoll of the media relay"), uintptr(ep), w.look
	if w.raw, err = w.ep.SyscallConn(); err != nil {
		w.ep.Close()
		return fmt.Errorf("wait for packets: %w", err)
	}
	return nil
}

// add has w wait for fd, too.
func (w *waiter) add(fd int) error {
	err := unix.EpollCtl(int(w.fd), unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// wait returns the next events, at least one.
func (w *waiter) wait() []unix.EpollEvent {
	for {
		if !w.awake {
			_ = w.raw.Read(w.poll) // fails when ep is closed, which the loop does after its last wait
			w.awake = true
		}
		if w.crowded {
			if n, _ := w.epoll(0); n > 0 { // more of a burst, which a nap between any two packets would make late
				return w.events[:n]
			}
			w.rest()
		}
		n, errno := w.epoll(lull)
		if n > 0 {
			return w.events[:n]
		}
		w.awake = errno != 0 // else there was a lull
	}
}

// look reports whether there is an event. It is called by the runtime's poller, at once and again each time epoll has something new.
func (w *waiter) look(uintptr) bool {
	n, _ := w.epoll(0)
	return n > 0
}

func (w *waiter) epoll(ms uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, w.fd, uintptr(unsafe.Pointer(&w.events[0])), turnEvents, ms, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// rest lets packets gather. A signal may end it early.
func (w *waiter) rest() {
	ts := unix.NsecToTimespec(w.nap.Load())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// count notes that n packets came in a turn, and so whether it is a crowd.
func (w *waiter) count(n int, now time.Time) {
	if w.nap.Load() == 0 {
		w.crowded = false
		return
	}
	w.counted += n
	past := now.Sub(w.window)
	if past < crowdWindow {
		return
	}
	enough := crowd
	if w.crowded {
		enough = crowd * 3 / 4
	}
	w.crowded = past < 2*crowdWindow && w.counted >= int(past.Seconds()*float64(enough))
	w.window, w.counted = now, 0
}
