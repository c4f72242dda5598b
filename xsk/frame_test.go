package xsk

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var ends = [][2]netip.AddrPort{
	{netip.MustParseAddrPort("198.51.100.7:5070"), netip.MustParseAddrPort("203.0.113.9:40312")},
	{netip.MustParseAddrPort("[2001:db8::7]:5070"), netip.MustParseAddrPort("[2001:db8:1::9]:40312")},
}

// TestFramesByOthers: what we write is what another library reads, with right lengths and checksums, whatever the length.
func TestFramesByOthers(t *testing.T) {
	link := linkAddr{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for _, e := range ends {
		for size := range 1400 {
			payload := bytes.Repeat([]byte{byte(size), 0xff, 7}, 500)[:size]
			b := make([]byte, frameSize)
			b = b[:writeFrame(b, link, e[0], e[1], uint16(size), payload)]
			p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
			if p.ErrorLayer() != nil {
				t.Fatalf("%d bytes: %v", size, p.ErrorLayer().Error())
			}
			_ = p.TransportLayer().(*layers.UDP).SetNetworkLayerForChecksum(p.NetworkLayer())
			if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
				t.Fatalf("%d bytes: %v %v", size, err, wrong)
			}
			udp := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
			if !bytes.Equal(udp.Payload, payload) || uint16(udp.SrcPort) != e[0].Port() || uint16(udp.DstPort) != e[1].Port() || udp.Checksum == 0 {
				t.Fatalf("%d bytes: %v", size, udp)
			}
			if got := p.NetworkLayer().NetworkFlow().String(); got != e[0].Addr().String()+"->"+e[1].Addr().String() {
				t.Fatalf("goes %s", got)
			}
			if got := p.LinkLayer().LinkFlow().String(); got != "02:00:00:00:00:02->02:00:00:00:00:01" {
				t.Fatalf("link %s", got)
			}
		}
	}
}

// TestFramesNotWhole: one wrong bit anywhere behind the link addresses, or one byte less, and there is no datagram, or what can't be told from another one.
func TestFramesNotWhole(t *testing.T) {
	payload := []byte("OPTIONS sip:a@b SIP/2.0\r\n\r\n")
	for _, e := range ends {
		b := make([]byte, frameSize)
		b = b[:writeFrame(b, linkAddr{}, e[0], e[1], 7, payload)]
		for i := range b {
			if got, _, _ := readFrame(b[:i]); got != nil {
				t.Errorf("%v: cut after %d bytes: %q", e[0], i, got)
			}
			for bit := range 8 {
				b[i] ^= 1 << bit
				got, from, to := readFrame(b)
				free := i < typeOffset || e[0].Addr().Is6() && (i == ip6 && bit < 4 || i > ip6 && i < ip6+4 || i == ip6+7) // class, flow label, hop limit
				if whole := got != nil; whole != free {
					t.Errorf("%v: bit %d of byte %d: %q", e[0], bit, i, got)
				} else if whole && (!bytes.Equal(got, payload) || from != e[0] || to != e[1]) {
					t.Errorf("%v: bit %d of byte %d: %q from %v to %v", e[0], bit, i, got, from, to)
				}
				b[i] ^= 1 << bit
			}
		}
	}
}

// TestFramesOfThisMachine: a checksum that the interface was to complete, and over IPv4 none, are as good as a right one.
func TestFramesOfThisMachine(t *testing.T) {
	for i, e := range ends {
		b := make([]byte, frameSize)
		b = b[:writeFrame(b, linkAddr{}, e[0], e[1], 7, []byte("x"))]
		udp := b[[]int{udp4, udp6}[i]:]
		addrs := b[[]int{ip4 + 12, ip6 + 8}[i] : len(b)-len(udp)]
		binary.NativeEndian.PutUint16(udp[6:], fold(addSum(0, addrs)+pseudo(len(udp))))
		if got, _, _ := readFrame(b); string(got) != "x" {
			t.Errorf("%v: partial: %q", e[0], got)
		}
		binary.NativeEndian.PutUint16(udp[6:], 0)
		if got, _, _ := readFrame(b); (got != nil) != (i == 0) {
			t.Errorf("%v: none: %q", e[0], got)
		}
	}
}

// TestSums: carries are not lost, wherever they come.
func TestSums(t *testing.T) {
	for n := range 200 {
		b := bytes.Repeat([]byte{0xff}, n)
		for _, start := range []uint64{0, 1, 0xffff, 1<<34 - 1} {
			want := start
			for i := 0; i < n; i += 2 {
				want += uint64(binary.NativeEndian.Uint16(append(b[i:min(n, i+2):min(n, i+2)], 0)))
			}
			for want > 0xffff {
				want = want>>16 + want&0xffff
			}
			if got := fold(addSum(start, b)); uint64(got) != want && want%0xffff != uint64(got)%0xffff {
				t.Errorf("%d bytes from %d: %#x, want %#x", n, start, got, want)
			}
		}
	}
}

// FuzzFrame: no frame makes the reader fail, and what it takes for whole is what would be written, but for what routers change.
func FuzzFrame(f *testing.F) {
	for _, e := range ends {
		b := make([]byte, frameSize)
		f.Add(b[:writeFrame(b, linkAddr{}, e[0], e[1], 7, []byte("OPTIONS sip:a@b SIP/2.0\r\n\r\n"))])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), frameSize)]
		got, from, to := readFrame(b)
		if got == nil {
			return
		}
		again := make([]byte, frameSize+udp6)
		n := writeFrame(again, linkAddr{}, from, to, 7, got)
		if same, f2, t2 := readFrame(again[:n]); !bytes.Equal(same, got) || f2 != from || t2 != to {
			t.Errorf("%q from %v to %v became %q from %v to %v", got, from, to, same, f2, t2)
		}
	})
}

func BenchmarkWriteFrame(b *testing.B) {
	dst, payload := make([]byte, frameSize), bytes.Repeat([]byte("x"), 700)
	for b.Loop() {
		writeFrame(dst, linkAddr{}, ends[0][0], ends[0][1], 7, payload)
	}
}
