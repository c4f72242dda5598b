package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// heard returns what a capture shows, "text" or "text!" where a stream goes wrong.
func heard(t testing.TB, file []byte) (list []string) {
	t.Helper()
	w, err := openWire(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	err = w.each(func(m *message) bool {
		text := string(m.b)
		if m.err != nil {
			text += "!"
		}
		list = append(list, text)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var hello = request{method: "OPTIONS", cseq: 1}.String()

// TestLinks: every kind of link that is read, both formats, both families, plain and compressed.
func TestLinks(t *testing.T) {
	v6 := netip.MustParseAddrPort("[2001:db8::7]:5060")
	for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull,
		layers.LinkTypeLoop, layers.LinkTypeRaw, linkRaw12, linkRaw14, layers.LinkTypeIPv4} {
		for _, ng := range []bool{false, true} {
			c := newTapeOf(t, link, ng)
			c.udp(stranger, platform, hello)
			c.udp(v6, v6, hello)
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			if _, err := z.Write(c.bytes()); err != nil || z.Close() != nil {
				t.Fatal(err)
			}
			for _, file := range [][]byte{c.bytes(), zipped.Bytes()} {
				if got := heard(t, file); len(got) != 2 || got[0] != hello || got[1] != hello {
					t.Errorf("link %v, ng %v: %q", link, ng, got)
				}
			}
		}
	}
}

// TestTags: VLAN tags are taken off; another ether type is nobody's business.
func TestTags(t *testing.T) {
	c := newTape(t)
	ip := ipPacket(stranger.Addr(), platform.Addr(), protoUDP, 0, 0, udpPacket(stranger, platform, hello))
	head := make([]byte, 12)
	c.frame(slices.Concat(head, []byte{0x81, 0, 0, 5, 8, 0}, ip), 0)
	c.frame(slices.Concat(head, []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0}, ip, make([]byte, 9)), 0) // and padding behind it
	c.frame(slices.Concat(head, []byte{8, 6}, ip), 0)
	c.frame(slices.Concat(head, []byte{0x81, 0}), 0)
	if got := heard(t, c.bytes()); len(got) != 2 || got[1] != hello {
		t.Errorf("%q", got)
	}
}

// TestShort: a datagram of which only the beginning was captured is left out, and said so.
func TestShort(t *testing.T) {
	c := newTape(t)
	c.frame(c.framed(ipPacket(stranger.Addr(), platform.Addr(), protoUDP, 0, 0, udpPacket(stranger, platform, hello))), 20)
	r := c.run()
	if r.Messages != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "1 datagrams were captured only in part") {
		t.Errorf("%d messages, %q", r.Messages, r.Notes)
	}
}

// pieces are the fragments of a datagram with text, IPv4 or IPv6, each with so many bytes.
func pieces(src, dst netip.AddrPort, text string, size int) (list [][]byte) {
	whole := udpPacket(src, dst, text)
	for at := 0; at < len(whole); at += size {
		end := min(at+size, len(whole))
		more := end < len(whole)
		if src.Addr().Is4() {
			frag := uint16(at / 8)
			if more {
				frag |= 0x2000
			}
			list = append(list, ipPacket(src.Addr(), dst.Addr(), protoUDP, frag, 77, whole[at:end]))
			continue
		}
		frag := uint16(at)
		if more {
			frag |= 1
		}
		head := append(binary.BigEndian.AppendUint16([]byte{protoUDP, 0}, frag), 0, 0, 0, 77)
		list = append(list, ipPacket(src.Addr(), dst.Addr(), protoFragment, 0, 0, append(head, whole[at:end]...)))
	}
	return list
}

func TestFragments(t *testing.T) {
	v6 := netip.MustParseAddrPort("[2001:db8::7]:5060")
	for _, src := range []netip.AddrPort{stranger, v6} {
		dst := platform
		if src == v6 {
			dst = v6
		}
		for name, one := range map[string]struct {
			change func([][]byte) [][]byte
			want   int
		}{
			"in order":      {func(l [][]byte) [][]byte { return l }, 1},
			"backwards":     {func(l [][]byte) [][]byte { slices.Reverse(l); return l }, 1},
			"one twice":     {func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) }, 1},
			"one missing":   {func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }, 0},
			"the last gone": {func(l [][]byte) [][]byte { return l[:len(l)-1] }, 0},
			"overlapping": {func(l [][]byte) [][]byte {
				other := bytes.Clone(l[1])
				other[len(other)-1] ^= 1
				return slices.Insert(l, 2, other)
			}, 0},
		} {
			c := newTape(t)
			for _, b := range one.change(pieces(src, dst, hello, 64)) {
				c.packet(b)
			}
			got := heard(t, c.bytes())
			if len(got) != one.want || one.want == 1 && got[0] != hello {
				t.Errorf("%v %s: %q", src, name, got)
			}
		}
	}
}

// TestFragmentBounds: fragments that are never completed are given up, the oldest first, and none is waited for longer than half a minute.
func TestFragmentBounds(t *testing.T) {
	var f fragments
	p := packet{src: stranger.Addr(), dst: platform.Addr(), protocol: protoUDP, b: make([]byte, 64)}
	for id := range uint32(10 * maxPartial) {
		f.add(p, piece{id: id, more: true}, start.Add(time.Duration(id)))
	}
	if len(f.waiting) != maxPartial || f.lost != 9*maxPartial {
		t.Errorf("%d waiting, %d lost", len(f.waiting), f.lost)
	}
	last := uint32(10*maxPartial - 1)
	if _, ok := f.add(p, piece{id: last, offset: 64}, start.Add(time.Minute)); ok {
		t.Error("put together of what came a minute apart")
	}
	if _, ok := f.add(p, piece{id: 1, offset: 65528}, start); ok {
		t.Error("a datagram of more than 65,535 bytes")
	}
	var o partial
	for i := range 10 * maxPieces {
		o.take(piece{offset: 16 * i, more: true}, make([]byte, 8))
	}
	if len(o.pieces) > maxPieces || !o.bad {
		t.Errorf("%d pieces", len(o.pieces))
	}
}

// onStream is a message with a Content-Length, as TCP needs it.
func onStream(n int) string {
	return request{method: "OPTIONS", id: fmt.Sprint("m", n), cseq: 1}.String()
}

// TestStreams: segments in any order, sent again, overlapping, with holes, from the middle.
func TestStreams(t *testing.T) {
	one, two, three := onStream(1), onStream(2), onStream(3)
	all := one + "\r\n\r\n" + two + three
	at := func(n int) uint32 { return uint32(1001 + n) }
	type seg struct {
		seq   uint32
		flags byte
		text  string
	}
	begin := seg{1000, syn, ""}
	var bytewise []seg
	for i := range len(all) {
		bytewise = append(bytewise, seg{at(i), ack, all[i : i+1]})
	}
	half := len(one) + 20
	for name, c := range map[string]struct {
		segs []seg
		want []string
	}{
		"whole":           {[]seg{begin, {at(0), ack, all}}, []string{one, two, three}},
		"byte by byte":    {append([]seg{begin}, bytewise...), []string{one, two, three}},
		"wrong order":     {[]seg{begin, {at(half), ack, all[half:]}, {at(0), ack, all[:half]}}, []string{one, two, three}},
		"sent again":      {[]seg{begin, {at(0), ack, all[:half]}, {at(0), ack, all[:half]}, {at(5), ack, all[5:]}}, []string{one, two, three}},
		"from the middle": {[]seg{{at(40), ack, all[40 : len(one)+4]}, {at(len(one) + 4), ack, all[len(one)+4:]}}, []string{two, three}},
		"from further on": {[]seg{{at(40), ack, all[40:half]}, {at(half), ack, all[half:]}}, []string{three}},
		"no SIP":          {[]seg{begin, {at(0), ack, "\x16\x03\x01\x02\x00\x01\x00"}, {at(7), ack, one}}, []string{"\x16\x03\x01\x02\x00\x01\x00!"}},
		"goes wrong":      {[]seg{begin, {at(0), ack, one + "\x00garbage\r\n\r\n"}, {at(len(one) + 12), ack, two}}, []string{one, "\x00garbage\r\n\r\n!"}},
		"ended and again": {[]seg{begin, {at(0), ack | fin, one}, {5000, syn, ""}, {5001, ack, two}}, []string{one, two}},
		"wraps round":     {[]seg{{1<<32 - 10, syn, ""}, {1<<32 - 9, ack, one[:100]}, {91, ack, one[100:]}}, []string{one}},
	} {
		tape := newTape(t)
		for _, s := range c.segs {
			tape.tcp(stranger, platform, s.seq, s.flags, s.text)
		}
		if got := heard(t, tape.bytes()); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestHole: where a segment was not captured the stream goes on after a while, with the next message.
func TestHole(t *testing.T) {
	c := newTape(t)
	next := uint32(1001)
	c.tcp(stranger, platform, 1000, syn, "")
	for n := range 10 {
		m := onStream(n)
		if n != 3 {
			c.tcp(stranger, platform, next, ack, m)
		}
		next += uint32(len(m))
		c.at = c.at.Add(time.Second)
	}
	got := heard(t, c.bytes())
	if len(got) != 9 || got[3] != onStream(4) || got[8] != onStream(9) {
		t.Errorf("%d messages: %q", len(got), got)
	}
	r := c.run()
	if !strings.Contains(strings.Join(r.Notes, "\n"), "1 times part of a TCP stream was missing") || r.Sources[0].Acted != 0 {
		t.Errorf("%q, %+v", r.Notes, r.Sources)
	}
}

// TestStreamBounds: streams that never hold a message, and segments that wait for what never comes, are given up.
func TestStreamBounds(t *testing.T) {
	var s streams
	none := func(uint64, []byte, error) { t.Error("a message") }
	text := []byte("OPTIONS sip:a@b SIP/2.0\r\nSubject: ")
	for i := range 3 * maxStreams {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), uint16(1+i>>16))
		seg := segment{src: src, dst: platform, seq: 1, syn: true}
		s.add(seg, start, none)
		seg.syn, seg.seq, seg.b = false, 2, text
		s.add(seg, start, none)
		seg.seq = 1000
		s.add(seg, start, none)
	}
	held := 0
	for _, all := range []map[way]*stream{s.young, s.old} {
		for _, one := range all {
			held += one.size()
		}
	}
	if len(s.young)+len(s.old) > maxStreams || held != s.buffered || held == 0 {
		t.Errorf("%d streams, %d bytes, %d counted", len(s.young)+len(s.old), held, s.buffered)
	}
	for w := range s.young {
		for i := range 10 * maxAhead {
			s.add(segment{src: w.src, dst: w.dst, seq: uint32(5000 + 100*i), b: text}, start, func(uint64, []byte, error) {})
		}
		if one := s.young[w]; one != nil && len(one.ahead) > maxAhead {
			t.Errorf("%d segments wait", len(one.ahead))
		}
		break
	}
}

// TestBadFiles: what is no capture, or only half of one, gives one clear error.
func TestBadFiles(t *testing.T) {
	zip := func(b []byte) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(b); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	whole := everyday(t, 3)
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"empty":            {nil, ErrEmpty},
		"empty, zipped":    {zip(nil), ErrEmpty},
		"three bytes":      {[]byte("abc"), ErrNotCapture},
		"a text":           {[]byte("INVITE sip:a@b SIP/2.0\r\n"), ErrNotCapture},
		"a text, zipped":   {zip([]byte("INVITE sip:a@b SIP/2.0\r\n")), ErrNotCapture},
		"WiFi":             {newTapeOf(t, layers.LinkTypeIEEE802_11, false).bytes(), &LinkError{105}},
		"half a head":      {whole[:10], &CutError{}},
		"half a zip":       {zip(whole)[:5], &CutError{}},
		"half a zipped":    {zip(whole)[:len(zip(whole))/2], &CutError{}},
		"half a packet":    {whole[:len(whole)-10], &CutError{}},
		"a head of packet": {whole[:24+16], &CutError{}},
	} {
		r, err := Run(bytes.NewReader(c.file), Config{Inside: inside, Checks: allChecks(), Key: testKey})
		same := errors.Is(err, c.want)
		switch c.want.(type) {
		case *LinkError:
			same = errors.As(err, new(*LinkError))
		case *CutError:
			same = errors.As(err, new(*CutError))
		}
		if !same || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if name == "half a packet" && (r == nil || r.Messages != 32) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	c := newTapeOf(t, layers.LinkTypeIEEE802_11, true)
	c.packet(make([]byte, 100))
	if _, err := Run(bytes.NewReader(c.bytes()), Config{Inside: inside}); !errors.As(err, new(*LinkError)) {
		t.Errorf("pcapng of WiFi: %v", err)
	}
}

// FuzzWire reads any bytes as a capture: time never goes back, no message is larger than a datagram, and reading ends.
func FuzzWire(f *testing.F) {
	f.Add(everyday(f, 1))
	for _, ng := range []bool{false, true} {
		c := newTapeOf(f, layers.LinkTypeLinuxSLL2, ng)
		for _, b := range pieces(stranger, platform, hello, 64) {
			c.packet(b)
		}
		c.tcp(stranger, platform, 1, syn, "")
		c.tcp(stranger, platform, 2, ack, onStream(1)[:50])
		c.tcp(stranger, platform, 100, ack, "late")
		c.tcp(stranger, platform, 52, ack|fin, onStream(1)[50:])
		f.Add(c.bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		w, err := openWire(bytes.NewReader(file))
		if err != nil {
			return
		}
		var before time.Time
		_ = w.each(func(m *message) bool {
			if m.at.Before(before) {
				t.Errorf("%v after %v", m.at, before)
			}
			if before = m.at; len(m.b) > maxDatagram {
				t.Errorf("%d bytes", len(m.b))
			}
			return true
		})
		if w.streams.buffered < 0 {
			t.Errorf("%d bytes wait", w.streams.buffered)
		}
	})
}

// FuzzPackets is the same for one packet of every kind of link, which the fuzzer does not have to find the way to.
func FuzzPackets(f *testing.F) {
	for _, b := range pieces(stranger, platform, hello, 64) {
		f.Add(uint16(101), b)
	}
	f.Add(uint16(1), append([]byte{12: 0x86, 13: 0xdd}, pieces(netip.MustParseAddrPort("[2001:db8::7]:5060"), netip.MustParseAddrPort("[2001:db8::7]:5060"), hello, 64)[0]...))
	f.Fuzz(func(t *testing.T, link uint16, b []byte) {
		var w wire
		for range 3 {
			w.packet(frame{start, layers.LinkType(link), b}, func(m *message) bool {
				if len(m.b) > len(b)+maxDatagram {
					t.Errorf("%d bytes of %d", len(m.b), len(b))
				}
				return true
			})
		}
	})
}
