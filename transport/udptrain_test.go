package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

// trainsOf are the numbers of the messages in each train of q, as the kernel would get them.
func trainsOf(q *sendQueue) (all [][]int) {
	at := 0
	for i := range q.trains {
		n := int(q.hdrs[i].hdr.Iovlen)
		var train []int
		for range n {
			train = append(train, int(q.order[at]))
			at++
		}
		all = append(all, train)
	}
	return all
}

// Whatever waits: each message travels once, to its own address, in trains that the kernel can part, and not before an earlier one of its call to that address.
func TestCouple(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	q := newSendQueue(s.ports[0].udp[0])
	if q.longest != longestCar {
		t.Fatalf("this kernel parts no trains: %d", q.longest)
	}
	room, saved := make([]byte, 2*longestCar), 0
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		total, dests, sizes, calls := 1+rng.IntN(batch), 1+rng.IntN(4), 1+rng.IntN(5), 1+rng.IntN(20)
		at := 1 + rng.IntN(len(room)-sizes)
		for range total {
			kin := kinship(1) << rng.IntN(calls)
			if rng.IntN(30) == 0 {
				kin = everyKin
			}
			q.add(room[:at+rng.IntN(sizes)], netip.AddrPortFrom(addr("127.0.0.9:1").Addr(), uint16(5060+rng.IntN(dests))), kin)
		}
		q.couple()
		checkTrains(t, q)
		saved += q.n - q.trains
		q.n = 0
	}
	if saved == 0 {
		t.Error("nothing ever travelled in company")
	}
}

func checkTrains(t *testing.T, q *sendQueue) {
	t.Helper()
	var order []int
	for i, train := range trainsOf(q) {
		h := &q.hdrs[i].hdr
		first := q.list[train[0]].Len
		for k, m := range train {
			long := q.list[m].Len
			if k > 0 && (long > first || long < first && k != len(train)-1 || first > longestCar || q.n < fewest) {
				t.Fatalf("%d bytes behind %d, %d of %d, of %d", long, first, k, len(train), q.n)
			}
			if q.names[m] != *(*sockaddr)(unsafe.Pointer(h.Name)) || unsafe.Slice(h.Iov, len(train))[k] != q.list[m] {
				t.Fatalf("message %d is not itself", m)
			}
		}
		if len(train) > 1 != (h.Control != nil) || len(train) > 1 && (h.Controllen != 24 || binary.NativeEndian.Uint16(unsafe.Slice(h.Control, 24)[16:]) != uint16(first)) {
			t.Fatalf("a train of %d with %d bytes of control", len(train), h.Controllen)
		}
		order = append(order, train...)
	}
	if sorted := slices.Sorted(slices.Values(order)); len(order) != q.n || sorted[0] != 0 || sorted[q.n-1] != q.n-1 || len(slices.Compact(sorted)) != q.n {
		t.Fatalf("%d messages became %v", q.n, order)
	}
	for k, m := range order {
		for _, later := range order[k+1:] {
			if later < m && q.kin[later]&q.kin[m] != 0 && q.names[later] == q.names[m] {
				t.Fatalf("%d overtook %d of its call: %v", m, later, order)
			}
		}
	}
}

// Trains arrive as the datagrams they were made of, over both families, also where the kernel refuses a train: eight of 9,000 bytes
// are more than it takes at once.
func TestTrainsArrive(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at+" usual", func(t *testing.T) { trainsArrive(t, at, batch, 600, 600) })
		t.Run(at+" refused", func(t *testing.T) { trainsArrive(t, at, 8, 9000, 8999) })
	}
}

// trainsArrive sends count datagrams of size, the last one shorter, and wants longest to be what may travel in company after it.
func trainsArrive(t *testing.T, at string, count, size, longest int) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, at)}, Workers: 1}, &stage{})
	c := dialUDP(t, s.Listeners()[0].Addr)
	to := c.LocalAddr().(*net.UDPAddr).AddrPort()
	q := newSendQueue(s.ports[0].udp[0])
	q.longest = uint64(size)
	want := map[string]bool{}
	for i := range count {
		m := fmt.Appendf(bytes.Repeat([]byte{'x'}, size-8-i/(count-1)), "%08d", i)
		want[string(m)] = true
		q.add(m, to, 1<<i)
	}
	q.flush()
	b := make([]byte, 10_000)
	for range count {
		n, err := c.Read(b)
		if err != nil || !want[string(b[:n])] {
			t.Fatalf("%d bytes, %v", n, err)
		}
		delete(want, string(b[:n]))
	}
	if n := s.Counters(); n.PacketsOut != uint64(count) || n.SendErrors != 0 || n.DroppedSend != 0 {
		t.Errorf("counted %+v", n)
	}
	if q.longest != uint64(longest) {
		t.Errorf("the longest in company is %d now", q.longest)
	}
}

// The kernel's reasons to refuse a train decide what may travel in company after it.
func TestUncouple(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0")}, Workers: 1}, &stage{})
	for errno, longest := range map[unix.Errno]uint64{unix.EIO: 0, unix.EINVAL: 99, unix.EMSGSIZE: 99, unix.EPERM: longestCar} {
		q := newSendQueue(s.ports[0].udp[0])
		b := make([]byte, 200)
		for i := range 10 {
			q.add(b[:200-i/5*100], addr("127.0.0.9:5060"), 1<<i)
		}
		for i := range 2 {
			q.add(b[:10+i], addr("127.0.0.9:5061"), everyKin)
		}
		q.couple()
		if got := fmt.Sprint(trainsOf(q)); got != "[[0 1 2 3 4 5] [6 7 8 9] [10] [11]]" {
			t.Fatal(got)
		}
		q.uncouple(1, errno)
		if q.longest != longest || q.trains != 6 || q.cars(0, q.trains) != 6 {
			t.Errorf("%v: longest %d, %d trains", errno, q.longest, q.trains)
		}
		for k := range q.trains {
			if h := &q.hdrs[k].hdr; *h.Iov != q.list[6+k] || h.Name != (*byte)(unsafe.Pointer(&q.names[6+k])) || h.Control != nil {
				t.Errorf("%v: datagram %d is not message %d", errno, k, 6+k)
			}
		}
	}
}

func TestKinOf(t *testing.T) {
	seen := map[kinship]bool{}
	for i := range 1000 {
		k := kinOf(fmt.Appendf(nil, "%x@192.0.2.1", uint64(i)*0x9e3779b97f4a7c15))
		if k&(k-1) != 0 || k == 0 {
			t.Fatalf("kin %x", k)
		}
		seen[k] = true
	}
	if len(seen) < 60 {
		t.Errorf("a thousand calls share %d bits", len(seen))
	}
	for _, short := range []string{"", "a", "1234567"} {
		if kinOf([]byte(short)) != everyKin {
			t.Errorf("%q has a kin of its own", short)
		}
	}
}
