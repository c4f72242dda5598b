package card

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestFrameIsWhatOthersRead has gopacket read a frame.
func TestFrameIsWhatOthersRead(t *testing.T) {
	c := &Card{own: linkAddr{2, 1}, far: linkAddr{2, 2}}
	frame := c.append(nil, far, edge, 0x1234, []byte("hello"))
	p := gopacket.NewPacket(frame[eth:], layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	link, _ := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	head, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	datagram, _ := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if link == nil || head == nil || datagram == nil {
		t.Fatalf("not UDP over IPv4 over Ethernet: %v", p)
	}
	got := []any{link.DstMAC.String(), link.SrcMAC.String(), head.SrcIP.String(), head.DstIP.String(), int(head.Id), int(head.Length), int(datagram.SrcPort), int(datagram.DstPort), int(datagram.Length), string(datagram.Payload)}
	want := []any{"02:02:00:00:00:00", "02:01:00:00:00:00", "198.18.20.1", "198.18.10.1", 0x1234, 33, 5080, 5060, 13, "hello"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s := sum(0, frame[ip:udp]); s != 0xffff {
		t.Errorf("the sum of the IPv4 header is %x", s)
	}
	if partial := sum(typeUDP+13, frame[ip+12:udp]); datagram.Checksum != partial || frame[0] != needsSum {
		t.Errorf("the checksum is %x, want %x, the pseudo header's, and marked so", datagram.Checksum, partial)
	}
}

func TestForeignFramesAreNobodys(t *testing.T) {
	c := &Card{}
	conn := &Conn{card: c, local: far}
	c.conns = []*Conn{conn}
	good := c.append(nil, edge, far, 1, []byte("hello"))
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	short := append([]byte(nil), good...)
	binary.BigEndian.PutUint16(short[ip+2:], 3)
	for name, b := range map[string][]byte{"empty": nil, "cut": good[:headerLen-1], "no header": good[:metaLen], "IPv6": change(eth+12, 0x86), "options": change(ip, 0x46),
		"TCP": change(ip+9, 6), "another address": change(ip+19, 9), "another port": change(udp+3, 9), "says that it is short": short} {
		if c.deliver(b); len(conn.came) > 0 {
			t.Errorf("%s: %q was delivered", name, conn.came[0].Data)
		}
	}
	padded := append(append([]byte(nil), good...), make([]byte, 13)...) // as Ethernet does with short frames
	if c.deliver(padded); len(conn.came) != 1 || string(conn.came[0].Data) != "hello" {
		t.Errorf("%q, want the datagram without what Ethernet added", conn.came)
	}
}
