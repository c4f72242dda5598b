package xsk

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// The tests that need an interface run in two processes, each with a network namespace of its own: the near one has this package, the far one answers
// every datagram. Both are this test binary again.
const role = "RINGWALL_XSK_ROLE"

// TestMain runs the far end.
func TestMain(m *testing.M) {
	if os.Getenv(role) == "far" {
		far()
		return
	}
	os.Exit(m.Run())
}

// far waits for its end of the wire, then echoes what comes to port 7, until its input ends.
func far() {
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1))
	for _, c := range []string{"link set lo up", "addr add 198.51.100.2/24 dev far", "addr add 2001:db8::2/64 dev far nodad", "link set far up"} {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			fmt.Println(c, string(out), err)
		}
	}
	c, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("ready")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	b := make([]byte, 4096)
	for {
		n, from, _ := c.ReadFromUDPAddrPort(b)
		_, _ = c.WriteToUDPAddrPort(b[:n], from)
	}
}

// inNamespace runs the calling test again in a namespace of its own, and reports whether this is there.
func inNamespace(t *testing.T) bool {
	if os.Getenv(role) == "near" {
		return true
	}
	if os.Geteuid() != 0 {
		siptest.Missing(t, "root, for network namespaces and AF_XDP")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), role+"=near")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	return false
}

// ip runs a command of iproute2.
func ip(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", command, err, out)
	}
}

// wire makes the interface "near" here, and a far end that echoes.
func wire(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"=far")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	ip(t, "link set lo up")
	ip(t, fmt.Sprintf("link add near type veth peer name far netns %d", cmd.Process.Pid))
	ip(t, "addr add 198.51.100.1/24 dev near")
	ip(t, "addr add 2001:db8::1/64 dev near nodad")
	ip(t, "link set near up")
	_, _ = in.Write([]byte{0})
	b := make([]byte, 1000)
	if n, _ := out.Read(b); string(b[:n]) != "ready\n" {
		t.Fatalf("far end: %s", b[:n])
	}
}

// A talk is a socket at an address of ours beside its Local, and what came either way.
type talk struct {
	t      *testing.T
	set    *Set
	batch  *Batch
	local  *Local
	conn   *net.UDPConn
	far    netip.AddrPort
	frames chan string // by a Port
	plain  chan string // by the socket
}

func newTalk(t *testing.T, set *Set, near, far string) *talk {
	t.Helper()
	addr := netip.MustParseAddrPort(near)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := set.Local(addr)
	k := &talk{t: t, set: set, batch: l.NewBatch(), local: l, conn: conn, far: netip.MustParseAddrPort(far), frames: make(chan string, 1000), plain: make(chan string, 1000)}
	go func() {
		b := make([]byte, 4096)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			k.plain <- string(b[:n])
		}
	}()
	return k
}

// read hands the datagrams of all Ports to the talks; the readers end with the Ports.
func read(set *Set, talks ...*talk) *sync.WaitGroup {
	var readers sync.WaitGroup
	for _, p := range set.Ports() {
		readers.Go(func() {
			for {
				n, err := p.Next()
				if err != nil {
					return
				}
				for i := range n {
					b, from, to := p.Datagram(i)
					for _, k := range talks {
						if b != nil && to == k.local.addr && from == k.far {
							k.frames <- string(b)
						}
					}
				}
			}
		})
	}
	return &readers
}

// echo sends one datagram, and reports by which way it went and came back.
func (k *talk) echo(text string) (sent, came string) {
	k.t.Helper()
	sent = "frame"
	if !k.batch.Add([]byte(text), k.far) {
		sent = "socket"
		if _, err := k.conn.WriteToUDPAddrPort([]byte(text), k.far); err != nil {
			return sent, err.Error()
		}
	}
	k.batch.Flush()
	var got string
	select {
	case got = <-k.frames:
		came = "frame"
	case got = <-k.plain:
		came = "socket"
	case <-time.After(2 * time.Second):
		return sent, "nothing"
	}
	if got != text {
		k.t.Fatalf("got %d bytes %.20q, want %d", len(got), got, len(text))
	}
	return sent, came
}

// until talks for as long as it takes to go by a way both to and from, ten seconds at most; nothing may be lost meanwhile.
func (k *talk) until(way string) {
	k.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		sent, came := k.echo("hello")
		if came == "nothing" {
			k.t.Fatal("a datagram is lost")
		}
		if sent == way && came == way {
			return
		}
	}
	k.t.Fatalf("never by %s: %+v, %v", way, k.set.Stats(), *k.local.paths.Load())
}

// TestPartners: who is talked with much becomes a partner and is one no more when there is nothing to say; both families, driver and generic mode.
// Nothing is lost when the way changes.
func TestPartners(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	wire(t)
	for _, generic := range []bool{false, true} {
		set, err := Open(Config{Interfaces: []string{"near"}, Generic: generic, enough: 1})
		if err != nil {
			t.Fatal(err)
		}
		four, six := newTalk(t, set, "198.51.100.1:5060", "198.51.100.2:7"), newTalk(t, set, "[2001:db8::1]:5060", "[2001:db8::2]:7")
		readers := read(set, four, six)
		for _, k := range []*talk{four, six} {
			k.until("frame")
			for size := range 1400 {
				if sent, came := k.echo(strings.Repeat("x", size+1)); sent != "frame" || came != "frame" {
					t.Fatalf("%d bytes by %s, back by %s", size+1, sent, came)
				}
			}
			// The answer comes in fragments, which are the kernel's.
			if sent, came := k.echo(strings.Repeat("y", 3000)); sent != "socket" || came != "socket" {
				t.Errorf("3000 bytes by %s, back by %s", sent, came)
			}
		}
		if st := set.Stats(); st.Partners != 2 || st.In < 2800 || st.Out < 2800 || st.Bad != 0 || st.Dropped != 0 {
			t.Errorf("%+v", st)
		}
		set.Close()
		for _, k := range []*talk{four, six} {
			k.until("socket")
			k.conn.Close()
		}
		readers.Wait()
		set.Free()
	}
}

// TestRefused says why an interface can't be had.
func TestRefused(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	wire(t)
	ip(t, "link add wide type veth peer name other")
	ip(t, "link set wide mtu 9000")
	for name, want := range map[string]string{"lo": "loopback", "wide": "MTU of 9000", "none": "no such network interface"} {
		if _, err := Open(Config{Interfaces: []string{"near", name}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	set, err := Open(Config{Interfaces: []string{"near"}}) // what those have left behind would be in the way
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Interfaces: []string{"near"}}); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("twice: %v", err)
	}
	set.Close()
}

// TestInterfaceGone: what is sent takes the sockets, and the reader is told.
func TestInterfaceGone(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	wire(t)
	set, err := Open(Config{Interfaces: []string{"near"}, enough: 1})
	if err != nil {
		t.Fatal(err)
	}
	k := newTalk(t, set, "198.51.100.1:5060", "198.51.100.2:7")
	told := make(chan error, 1)
	p := set.Ports()[0]
	go func() {
		for {
			n, err := p.Next()
			if err != nil {
				told <- err
				return
			}
			for i := range n {
				b, _, _ := p.Datagram(i)
				k.frames <- string(b)
			}
		}
	}()
	k.until("frame")
	ip(t, "link set near down")
	for end := time.Now().Add(5 * time.Second); len(*k.local.paths.Load()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a partner behind an interface that is down")
		}
	}
	ip(t, "link set near up")
	k.until("frame")
	ip(t, "link del near")
	select {
	case err := <-told:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("told %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the reader is told nothing")
	}
	if k.batch.Add([]byte("x"), k.far) {
		t.Error("sent into nothing")
	}
	k.batch.Flush()
	set.Close()
}
