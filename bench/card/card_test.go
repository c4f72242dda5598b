package card

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/bench/batch"
	"github.com/ringwall/ringwall/siptest"
	"golang.org/x/sys/unix"
)

var (
	edge   = netip.MustParseAddrPort("198.18.10.1:5060")
	far    = netip.MustParseAddrPort("198.18.20.1:5080")
	caller = netip.MustParseAddr("198.19.1.7")
)

// plugged is a card and an UDP socket of this machine's, both in a network namespace that ends with the test.
func plugged(t *testing.T) (*Card, *net.UDPConn) {
	t.Helper()
	siptest.NeedTool(t, "ip")
	type made struct {
		card *Card
		conn *net.UDPConn
		err  error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread() // and never back: the thread ends with its namespace
		var m made
		if m.err = unix.Unshare(unix.CLONE_NEWNET); m.err == nil {
			m.card, m.conn, m.err = plug()
		}
		done <- m
	}()
	m := <-done
	if errors.Is(m.err, fs.ErrPermission) {
		siptest.Missing(t, "root to make a tap device")
	}
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.conn.Close(), m.card.Close()); err != nil {
			t.Error(err)
		}
	})
	return m.card, m.conn
}

func plug() (*Card, *net.UDPConn, error) {
	c, err := Open("edge0")
	if err != nil {
		return nil, nil, err
	}
	for _, args := range [][]string{
		{"addr", "add", edge.Addr().String() + "/32", "dev", "edge0"},
		{"link", "set", "edge0", "up"},
		{"neigh", "add", far.Addr().String(), "lladdr", c.Link(), "dev", "edge0", "nud", "permanent"},
		{"route", "add", "198.18.0.0/15", "via", far.Addr().String(), "dev", "edge0", "onlink"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("ip %v: %w: %s", args, err, out), c.Close())
		}
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(edge))
	return c, conn, err
}

// next waits for datagrams at a port.
func next(t *testing.T, c *Conn) []batch.Packet {
	t.Helper()
	for end := time.Now().Add(siptest.Deadline); time.Now().Before(end); c.card.Wait(time.Millisecond) {
		n, err := c.TryReceive()
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return c.given
		}
	}
	t.Fatal("nothing came")
	return nil
}

func TestDatagramsBothWays(t *testing.T) {
	card, conn := plugged(t)
	callers, platform := card.Listen(netip.MustParseAddrPort("0.0.0.0:5070")), card.Listen(far)
	if err := errors.Join(callers.Queue([]byte("from a caller"), caller, edge), platform.Queue([]byte("odd"), netip.Addr{}, edge), callers.Flush(), platform.Flush()); err != nil {
		t.Fatal(err)
	}
	var b [100]byte
	for _, want := range []string{"198.19.1.7:5070 from a caller", "198.18.20.1:5080 odd"} {
		_ = conn.SetReadDeadline(time.Now().Add(siptest.Deadline))
		n, from, err := conn.ReadFromUDPAddrPort(b[:])
		if got := fmt.Sprintf("%v %s", from, b[:n]); got != want || err != nil {
			t.Errorf("the socket got %q (%v), want %q", got, err, want)
		}
	}
	if n, took := card.Sent(); n != 2 || took <= 0 {
		t.Errorf("%d sent in %v, want 2 in some time", n, took)
	}
	for _, to := range []netip.AddrPort{far, netip.AddrPortFrom(caller, 5070), netip.AddrPortFrom(caller, 5071), netip.AddrPortFrom(far.Addr(), 5070)} {
		if _, err := conn.WriteToUDPAddrPort([]byte("to "+to.String()), to); err != nil {
			t.Fatal(err)
		}
	}
	if got := next(t, platform); len(got) != 1 || string(got[0].Data) != "to "+far.String() || got[0].From != edge {
		t.Errorf("the platform got %q", got)
	}
	var got []string
	for len(got) < 2 {
		for _, p := range next(t, callers) {
			got = append(got, fmt.Sprintf("%v got %s", p.To, p.Data))
		}
	}
	// The second is for the platform's address and a port that it has not; nobody has 5071.
	if want := []string{"198.19.1.7 got to 198.19.1.7:5070", "198.18.20.1 got to 198.18.20.1:5070"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTrains has the kernel send datagrams of one length as one frame (UDP_SEGMENT), as ringwall does.
func TestTrains(t *testing.T) {
	card, conn := plugged(t)
	platform := card.Listen(far)
	train := bytes.Repeat([]byte("0123456789"), 7)
	var control [unix.SizeofCmsghdr + 8]byte
	segment := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	segment.Level, segment.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	segment.SetLen(unix.CmsgLen(2))
	control[unix.CmsgLen(0)] = 30
	if _, _, err := conn.WriteMsgUDPAddrPort(train, control[:], far); err != nil {
		t.Fatal(err)
	}
	got := next(t, platform)
	if len(got) != 3 || len(card.in) > 256 {
		t.Fatalf("%d datagrams in %d bytes of frames, want three in one", len(got), len(card.in))
	}
	for i, want := range []string{"012345678901234567890123456789", "012345678901234567890123456789", "0123456789"} {
		if string(got[i].Data) != want || got[i].From != edge || got[i].To != far.Addr() {
			t.Errorf("datagram %d is %q, want %q", i, got[i].Data, want)
		}
	}
}

// TestManyFrames has more come than one turn reads, in order.
func TestManyFrames(t *testing.T) {
	card, conn := plugged(t)
	if _, err := conn.WriteToUDPAddrPort([]byte("before anybody listens"), far); err != nil {
		t.Fatal(err)
	}
	platform := card.Listen(far)
	const count = 3*most + 7
	for i := range count {
		if _, err := conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%d", i), far); err != nil {
			t.Fatal(err)
		}
	}
	for seen := 0; seen < count; {
		for _, p := range next(t, platform) {
			if string(p.Data) != fmt.Sprint(seen) {
				t.Fatalf("datagram %d is %q", seen, p.Data)
			}
			seen++
		}
	}
	if n, err := platform.TryReceive(); n != 0 || err != nil {
		t.Errorf("%d more (%v)", n, err)
	}
}

func TestOpenSaysWhatFailed(t *testing.T) {
	c, err := Open("a name that is too long for a device")
	if err == nil {
		c.Close()
		t.Fatal("it was made")
	}
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, os.ErrInvalid) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
}
