package smuggle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// Row S33: WebSocket frames (RFC 6455 §5, RFC 7118 §5).

// A framed is bytes on a WebSocket connection, and what becomes of them.
type framed struct {
	name  string
	bytes string
	code  int  // the connection is closed with it; 0: it stays open
	pass  bool // the honest message in it arrives
}

// header is the beginning of a frame of any length, with its mask.
func header(first byte, length uint64) string {
	return string(append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length), 1, 2, 3, 4))
}

// frames are the cases, made from a whole message m.
func frames(m string) (all []framed) {
	add := func(name string, code int, pass bool, bytes ...string) {
		all = append(all, framed{name, strings.Join(bytes, ""), code, pass})
	}
	half := len(m) / 2
	add("one frame", 0, true, siptest.Frame(0x82, m))
	add("two frames", 0, true, siptest.Frame(0x02, m[:half]), siptest.Frame(0x80, m[half:]))
	add("frames of a byte", 0, true, siptest.Frame(0x02, m[:1]), byteFrames(m[1:]))
	add("empty frames between", 0, true, siptest.Frame(0x02, ""), siptest.Frame(0x00, m[:half]), siptest.Frame(0x00, ""), siptest.Frame(0x80, m[half:]))
	add("a ping between", 0, true, siptest.Frame(0x02, m[:half]), siptest.Frame(0x89, "still there?"), siptest.Frame(0x80, m[half:]))
	add("a pong before", 0, true, siptest.Frame(0x8a, ""), siptest.Frame(0x82, m))
	add("an empty message before", 0, true, siptest.Frame(0x82, ""), siptest.Frame(0x82, m))
	add("CRLF before", 0, true, siptest.Frame(0x81, "\r\n"), siptest.Frame(0x82, m))
	add("two requests in a message", 1002, false, siptest.Frame(0x82, m+m))
	add("a request and another's beginning", 1002, false, siptest.Frame(0x82, m+m[:half]))
	add("two requests in a message of two frames", 1002, false, siptest.Frame(0x02, m), siptest.Frame(0x80, m))
	add("a request and CRLF", 1002, false, siptest.Frame(0x82, m+"\r\n"))
	add("a request over two messages", 1002, false, siptest.Frame(0x82, m[:half]), siptest.Frame(0x82, m[half:]))
	add("a body too short", 1002, false, siptest.Frame(0x82, m[:len(m)-1]))
	add("a body too long", 1002, false, siptest.Frame(0x82, m+"x"))
	add("no mask", 1002, false, "\x82"+string(binary.BigEndian.AppendUint16([]byte{126}, uint16(len(m))))+m)
	add("an unmasked ping", 1002, false, "\x89\x00", siptest.Frame(0x82, m))
	for _, n := range []uint64{1<<16 + 1, 1 << 20, 1<<31 - 1, 1 << 31, 1 << 32, 1<<32 + 5, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		add(fmt.Sprintf("a frame of %d bytes", n), 1009, false, header(0x82, n), m)
		add(fmt.Sprintf("a text frame of %d bytes", n), 1009, false, header(0x81, n), m)
	}
	add("frames that grow too large", 1009, false, siptest.Frame(0x02, m), header(0x80, 1<<16), m)
	for op := byte(0x8); op <= 0xa; op++ {
		add(fmt.Sprintf("a control frame %#x in parts", op), 1002, false, siptest.Frame(op, "a"), siptest.Frame(0x80, "b"), siptest.Frame(0x82, m))
		add(fmt.Sprintf("a control frame %#x of 126 bytes", op), 1002, false, siptest.Frame(0x80|op, strings.Repeat("a", 126)), siptest.Frame(0x82, m))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		add(fmt.Sprintf("opcode %#x", op), 1002, false, siptest.Frame(0x80|op, m))
	}
	for _, bits := range []byte{0x40, 0x20, 0x10, 0x70} {
		add(fmt.Sprintf("reserved bits %#x", bits), 1002, false, siptest.Frame(0x82|bits, m))
		add(fmt.Sprintf("reserved bits %#x of a ping", bits), 1002, false, siptest.Frame(0x89|bits, ""), siptest.Frame(0x82, m))
	}
	add("a continuation of nothing", 1002, false, siptest.Frame(0x80, m))
	add("a message within another", 1002, false, siptest.Frame(0x02, m[:half]), siptest.Frame(0x82, m))
	add("text that is not UTF-8", 1007, false, siptest.Frame(0x81, m))
	add("text cut in a rune", 1007, false, siptest.Frame(0x81, strings.Replace(m, "Subject: ", "Subject: \xe2\x82", 1)))
	add("a close frame first", 1000, false, siptest.Frame(0x88, "\x03\xe8"), siptest.Frame(0x82, m))
	add("a close frame in a message", 1000, false, siptest.Frame(0x02, m[:half]), siptest.Frame(0x88, "\x03\xe8"), siptest.Frame(0x80, m[half:]))
	add("HTTP", 1002, false, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", m)
	add("SIP without frames", 1002, false, m)
	return all
}

// byteFrames is m in frames of a byte, the last of which ends the message.
func byteFrames(m string) string {
	var b strings.Builder
	for i := range len(m) {
		first := byte(0)
		if i == len(m)-1 {
			first = 0x80
		}
		b.WriteString(siptest.Frame(first, m[i:i+1]))
	}
	return b.String()
}

// webSocketFrames (S33): one WebSocket message is one SIP message, or the connection is closed with the code that RFC 6455 asks for.
func webSocketFrames(t *testing.T) {
	site := newSite(t, "frames", "", monitor)
	for _, way := range []string{"ws", "wss"} {
		s := newStation(t, site, way)
		for i := range frames("..") {
			s.hangup()
			id := newID()
			c := frames(s.fill(honest().String(), id))[i]
			_, _ = s.wire().Write([]byte(c.bytes))
			_ = s.wire().send(s.fill(honest().String(), newID())) // behind it, in order
			code := s.closeCode(id, c.pass)
			arrived := site.platform.arrived(id)
			if code != c.code || (len(arrived) == 1) != c.pass || len(arrived) > 1 {
				t.Errorf("%s, %s: closed with %d, not %d; %d arrived", way, c.name, code, c.code, len(arrived))
			}
			s.hangup()
			s.mark()
		}
		t.Logf("%s: %d cases", way, len(frames("..")))
	}
}

// closeCode is what the edge closes the wire with; 0 when what holds id, or else anything, is answered finally first.
func (s *station) closeCode(id string, pass bool) int {
	for {
		m, err := s.w.next(siptest.Deadline)
		switch {
		case errors.Is(err, errGoodbye) && len(s.w.frame) >= 2:
			return int(binary.BigEndian.Uint16([]byte(s.w.frame)))
		case err != nil:
			return -1
		case statusOf(m) == 200 && (!pass || strings.Contains(m, id)):
			return 0
		}
	}
}

// webSocketMemory (S33): an idle connection that has spoken costs at most 64 KiB. Go's collector lets as much garbage lie about as there is memory in use,
// more or less of it at the end; with GOGC=25 it is a quarter, and what is measured is what connections hold.
func webSocketMemory(t *testing.T) {
	site := newSite(t, "idle", "", monitor, "GOGC=25")
	open := func(n int) {
		for range n {
			s := newStation(t, site, "ws")
			s.run(trial{name: "honest", raw: honest().carrying(strings.Repeat("x", 30_000)).String(), fate: pass})
		}
	}
	open(50)
	const more = 1000
	before := site.edge.Memory()
	open(more)
	settled(site)
	if each := (site.edge.Memory() - before) / more; each > 64<<10 && !raced {
		t.Errorf("%d bytes for each idle connection", each)
	} else {
		t.Logf("%d bytes for each idle connection", each)
	}
}
