//go:build !race

package media

import (
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkTurn is the processor time that the relay needs for a packet, the kernel's included, in turns of 64.
func BenchmarkTurn(b *testing.B) {
	r := newRelay(b, nil)
	l := stand(b, r)
	const calls = 64
	var from, to [calls]int
	var ports [calls]unix.SockaddrInet4
	var packets [calls][]byte
	for i := range calls {
		c := newCall(b, r, nil)
		from[i], to[i] = descriptor(b, c.phone.conn), descriptor(b, c.platform.conn)
		ports[i] = unix.SockaddrInet4{Addr: outsideAddr.As4(), Port: int(c.Port(Caller).Port())}
		packets[i] = c.phone.packet(string(make([]byte, 160)))
	}
	buf := make([]byte, 2000)
	var spent []int64
	turn := func() {
		for i := range calls {
			packets[i][3]++
			if err := unix.Sendto(from[i], packets[i], 0, &ports[i]); err != nil {
				b.Fatal(err)
			}
		}
		before := threadTime(b)
		l.turn(l.waiter.wait())
		spent = append(spent, threadTime(b)-before)
		for i := range calls {
			if n, _, err := unix.Recvfrom(to[i], buf, unix.MSG_DONTWAIT); n != len(packets[i]) {
				b.Fatal(n, err)
			}
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		turn()
	}
	slices.Sort(spent)
	b.ReportMetric(float64(spent[len(spent)/10])/calls, "ns/packet") // what disturbs it makes it slower, never faster
}

// threadTime is the processor time that this thread has had, ns.
func threadTime(b *testing.B) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return ts.Nano()
}

// stand gives streams that are opened from now on a loop that the test turns itself.
func stand(t testing.TB, r *Relay) *loop {
	l, err := newLoop(r)
	if err != nil {
		t.Fatal(err)
	}
	running := r.loops[0]
	r.loops[0] = l
	t.Cleanup(func() { r.loops[0] = running })
	return l
}

// TestBurst: where packets are let gather, those of a burst do not wait for one nap each.
func TestBurst(t *testing.T) {
	r := newRelay(t, nil)
	l := stand(t, r)
	c := newCall(t, r, nil)
	const burst = 50
	for range burst {
		c.phone.talk(c.Port(Caller), "x")
	}
	l.waiter.awake, l.waiter.crowded = true, true
	l.waiter.nap.Store(int64(time.Hour))
	for range burst {
		l.turn(l.waiter.wait())
		l.waiter.crowded = true
		c.platform.hears(c.Port(Callee), "x")
	}
}

// TestSetCoalesce: a crowd is let gather as soon as that is asked for, and not a moment after it no longer is.
func TestSetCoalesce(t *testing.T) {
	r := newRelay(t, nil)
	l := stand(t, r)
	start := time.Unix(1_800_000_000, 0)
	crowd := func(at time.Duration) bool {
		l.waiter.count(0, start.Add(at))
		l.waiter.count(1000, start.Add(at+crowdWindow))
		return l.waiter.crowded
	}
	if crowd(0) {
		t.Error("packets gather although nobody asked for it")
	}
	r.SetCoalesce(3 * time.Millisecond)
	if !crowd(time.Second) {
		t.Error("packets do not gather")
	}
	r.SetCoalesce(0)
	if l.waiter.count(1, start.Add(2*time.Second)); l.waiter.crowded {
		t.Error("packets still gather")
	}
	if r.SetCoalesce(time.Hour); r.nap.Load() != int64(maxNap) {
		t.Errorf("packets gather for %v", time.Duration(r.nap.Load()))
	}
}

func descriptor(b *testing.B, conn *net.UDPConn) (fd int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	if err := raw.Control(func(s uintptr) { fd = int(s) }); err != nil {
		b.Fatal(err)
	}
	return fd
}
