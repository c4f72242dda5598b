package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// capture FILE MESSAGE… writes a capture of datagrams, ten milliseconds apart. The first line of each message is SOURCE DESTINATION; in what
// follows # stands for the number of the message.
func writeCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: capture FILE MESSAGE…")
	}
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	ts.Check(w.WriteFileHeader(65535, layers.LinkTypeRaw))
	for i, name := range args[1:] {
		head, text, _ := strings.Cut(ts.ReadFile(name), "\n")
		src, dst, _ := strings.Cut(head, " ")
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\r\n"), "#", string(rune('a'+i)))
		from, err := netip.ParseAddrPort(src)
		ts.Check(err)
		to, err := netip.ParseAddrPort(dst)
		ts.Check(err)
		b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(28+len(text)))
		b = append(b, 0, 0, 0, 0, 64, 17, 0, 0)
		b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
		for _, n := range []uint16{from.Port(), to.Port(), uint16(8 + len(text)), 0} {
			b = binary.BigEndian.AppendUint16(b, n)
		}
		b = append(b, text...)
		at := time.Unix(1_700_000_000, int64(i)*int64(10*time.Millisecond))
		ts.Check(w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}, b))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}

// cut FILE DIGIT takes bytes off the end of a file.
func cutFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || len(args[1]) != 1 {
		ts.Fatalf("usage: cut FILE DIGIT")
	}
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-int(args[1][0]-'0')]), 0o600))
}

// TestReplayPeers: peers are those whose addresses the configuration itself says, each on its own transport; names are only told of.
func TestReplayPeers(t *testing.T) {
	cfg, err := config.Parse("test.yaml", []byte(`version: 1
upstreams: [{uri: "sip:10.0.0.10:5060"}]
peers:
  - {name: one, uri: "sip:192.0.2.1"}
  - {name: two, uri: "sip:trunk.example.net;transport=tcp", match: [192.0.2.16/28, trunk.example.net]}
checks: {flood: {mode: enforce}}
mode: monitor
`))
	if err != nil {
		t.Fatal(err)
	}
	platform := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/30"), netip.MustParsePrefix("2001:db8::/64")}
	got, notes := replayConfig(cfg, platform)
	for text, want := range map[string]bool{"192.0.2.1:5060 udp": true, "192.0.2.1:5060 tcp": false, "192.0.2.17:9 tcp": true, "192.0.2.17:9 udp": false} {
		at, transport, _ := strings.Cut(text, " ")
		f := edge.Flow{Remote: netip.MustParseAddrPort(at)}
		if transport == "tcp" {
			f.Transport = edge.TCP
		}
		if got.Peer(f) != want {
			t.Errorf("%s: peer %v", text, !want)
		}
	}
	modes := map[judge.Mode]int{}
	for _, one := range got.Checks {
		modes[one.Mode]++
	}
	if len(modes) != 1 || modes[judge.Monitor] != 13 || !got.Monitor || len(notes) != 2 || !strings.Contains(notes[1], "peer two: trunk.example.net") {
		t.Errorf("checks %v, monitor %v, notes %q", modes, got.Monitor, notes)
	}
	if _, notes := replayConfig(config.Default(), platform); len(notes) != 1 || !strings.Contains(notes[0], "enforces here") {
		t.Errorf("a configuration without modes: notes %q", notes)
	}
	if list := addresses(platform); len(list) != 4+mostOwn || list[3].String() != "203.0.113.3" {
		t.Errorf("%d addresses", len(list))
	}
}
