package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/siptest"
)

func oneWS(at string) Config {
	return Config{Listen: []Listen{over(edge.WS, edge.Outside, at)}, Workers: 2}
}

// dialWS connects with an independent client.
func dialWS(t testing.TB, url string, client *http.Client) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{"sip"}, HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestWebSocketMessages(t *testing.T) {
	a := newAuthority(t)
	trusting := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool}}
	defer trusting.CloseIdleConnections()
	for _, c := range []struct {
		scheme, at string
		tr         edge.Transport
	}{{"ws", "127.0.0.1:0", edge.WS}, {"ws", "[::1]:0", edge.WS}, {"wss", "127.0.0.1:0", edge.WSS}, {"wss", "[::1]:0", edge.WSS}} {
		t.Run(c.scheme+" "+c.at, func(t *testing.T) {
			cfg := oneTLS(t, a, c.at)
			cfg.Listen[0].Transport = c.tr
			s := serve(t, cfg, &stage{on: echo})
			l := s.Listeners()[0]
			if want := "SIP/2.0/" + strings.ToUpper(c.scheme) + " " + l.Addr.String(); l.Via != want {
				t.Errorf("Via %q, want %q", l.Via, want)
			}
			ws := dialWS(t, c.scheme+"://"+l.Addr.String()+"/any/path", &http.Client{Transport: trusting})
			if ws.Subprotocol() != "sip" {
				t.Errorf("subprotocol %q", ws.Subprotocol())
			}
			bodiless := strings.Replace(message("no length", 0), "Content-Length: 0\r\n", "", 1)
			for _, m := range []string{message("a", 0), message("b", 200), message("c", 60_000), bodiless, bodiless + "body"} {
				for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
					exchange(t, ws, kind, m, m)
				}
			}
			exchange(t, ws, websocket.MessageText, "\r\n\r\n", "\r\n")
			exchange(t, ws, websocket.MessageBinary, message("\xff", 0), message("\xff", 0))
			w, err := ws.Writer(t.Context(), websocket.MessageText) // in many frames
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range []byte(message("pieces", 300)) {
				if _, err := w.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
			if _, got, err := ws.Read(t.Context()); err != nil || string(got) != message("pieces", 300) {
				t.Errorf("%v, %.40q", err, got)
			}
			ping := make(chan error, 1)
			go func() { ping <- ws.Ping(t.Context()) }()
			reading, stop := context.WithCancel(t.Context())
			go func() { _, _, _ = ws.Read(reading) }()
			if err := <-ping; err != nil {
				t.Errorf("ping: %v", err)
			}
			stop()
			ws.CloseNow()
			eventually(t, "closed", func() bool { return s.Counters().ConnectionsOpen == 0 })
		})
	}
}

func exchange(t *testing.T, ws *websocket.Conn, kind websocket.MessageType, m, want string) {
	t.Helper()
	if err := ws.Write(t.Context(), kind, []byte(m)); err != nil {
		t.Fatal(err)
	}
	back, got, err := ws.Read(t.Context())
	if err != nil || string(got) != want {
		t.Fatalf("%.40q came back as %.40q, %v", m, got, err)
	}
	if valid := !strings.Contains(m, "\xff"); valid != (back == websocket.MessageText) {
		t.Errorf("%.40q came back as %v", m, back)
	}
}

func TestWebSocketCloses(t *testing.T) {
	s := serve(t, oneWS("127.0.0.1:0"), &stage{on: echo})
	ws := dialWS(t, "ws://"+s.Listeners()[0].Addr.String(), nil)
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("the closing handshake: %v", err)
	}
	eventually(t, "closed", func() bool { return s.Counters().ConnectionsOpen == 0 })
}

// handshake is a client's HTTP request.
const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: foo, sip\r\nOrigin: https://elsewhere.example\r\n\r\n"

func TestWebSocketHandshake(t *testing.T) {
	s := serve(t, oneWS("127.0.0.1:0"), &stage{on: echo})
	less := func(field string) string {
		i := strings.Index(handshake, field)
		return handshake[:i] + handshake[i+strings.Index(handshake[i:], "\r\n")+2:]
	}
	for what, c := range map[string]struct {
		raw  string
		want string
	}{
		"good":                   {handshake, "101"},
		"no subprotocol":         {less("Sec-WebSocket-Protocol"), "400"},
		"other subprotocol":      {strings.Replace(handshake, "foo, sip", "xmpp", 1), "400"},
		"plain GET":              {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426"},
		"other version":          {strings.Replace(handshake, "Version: 13", "Version: 8", 1), "426"},
		"POST":                   {strings.Replace(handshake, "GET", "POST", 1), "405"},
		"HTTP/1.0":               {strings.Replace(handshake, "HTTP/1.1", "HTTP/1.0", 1), "400"},
		"no key":                 {less("Sec-WebSocket-Key"), "400"},
		"short key":              {strings.Replace(handshake, "dGhlIHNhbXBsZSBub25jZQ==", "AAAA", 1), "400"},
		"two keys":               {strings.Replace(handshake, "Origin", "Sec-WebSocket-Key", 1), "400"},
		"a body":                 {strings.Replace(handshake, "Origin: https://elsewhere.example", "Content-Length: 5", 1) + "12345", "400"},
		"SIP":                    {message("x", 0), "400"},
		"a header without end":   {strings.Replace(handshake, "Origin", strings.Repeat("X: y\r\n", 2000)+"Origin", 1), "400"},
		"a line without end":     {"GET /" + strings.Repeat("a", 20_000), "400"},
		"no host":                {less("Host"), "400"},
		"a message right behind": {handshake + string(siptest.Frame(0x81, []byte("\r\n\r\n"))), "101"},
	} {
		c2 := dialTCP(t, s.Listeners()[0].Addr)
		go func() { fmt.Fprint(c2, c.raw) }()
		res, err := http.ReadResponse(bufio.NewReader(c2), nil)
		if err != nil || !strings.HasPrefix(res.Status, c.want) {
			t.Errorf("%s: %v, %v, want %s", what, res, err, c.want)
			continue
		}
		if accept := res.Header.Get("Sec-WebSocket-Accept"); c.want == "101" && accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455 §1.3
			t.Errorf("%s: accept %q", what, accept)
		}
	}
}

// rawWS is a connection after the handshake.
func rawWS(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	c := dialTCP(t, to)
	fmt.Fprint(c, handshake)
	in := bufio.NewReader(c)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 || in.Buffered() > 0 {
		t.Fatalf("%v, %v", res, err)
	}
	return c
}

// S33: what is not one message in one WebSocket message closes the connection, with the right code, and nothing of it is relayed.
func TestWebSocketSmuggling(t *testing.T) {
	ok, cut := message("ok", 4), len(message("ok", 4))-10
	text := func(s string) []byte { return siptest.Frame(0x81, []byte(s)) }
	for what, c := range map[string]struct {
		raw  []byte
		code uint16
	}{
		"two requests in one":    {text(ok + ok), closeProtocol},
		"two messages' halves":   {append(text(ok[:cut]), text(ok[cut:])...), closeProtocol},
		"length too long":        {text(strings.Replace(ok, "Length: 4", "Length: 5", 1)), closeProtocol},
		"length too short":       {text(strings.Replace(ok, "Length: 4", "Length: 3", 1)), closeProtocol},
		"CRLF before":            {text("\r\n" + ok), closeProtocol},
		"no SIP":                 {text("hello"), closeProtocol},
		"not UTF-8":              {text(strings.Replace(ok, "xxxx", "xx\xff\xfe", 1)), closeNotUTF8},
		"no mask":                {append([]byte{0x81, 4}, "abcd"...), closeProtocol},
		"2^63":                   {append([]byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0}, "mask"...), closeTooBig},
		"2^63-1":                 {append([]byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, "mask"...), closeTooBig},
		"too large":              {siptest.Frame(0x82, make([]byte, 64<<10+1)), closeTooBig},
		"too large in parts":     {append(siptest.Frame(0x02, make([]byte, 40<<10)), siptest.Frame(0x80, make([]byte, 40<<10))...), closeTooBig},
		"fragmented ping":        {siptest.Frame(0x09, []byte("x")), closeProtocol},
		"long ping":              {siptest.Frame(0x89, make([]byte, 126)), closeProtocol},
		"reserved bit":           {siptest.Frame(0xC1, []byte(ok)), closeProtocol},
		"opcode 3":               {siptest.Frame(0x83, []byte(ok)), closeProtocol},
		"opcode 11":              {siptest.Frame(0x8B, []byte(nil)), closeProtocol},
		"rest of nothing":        {siptest.Frame(0x80, []byte(ok)), closeProtocol},
		"message within message": {append(siptest.Frame(0x01, []byte(ok[:9])), text(ok)...), closeProtocol},
		"more after a bad one":   {append(text("hello"), text(ok)...), closeProtocol},
	} {
		t.Run(what, func(t *testing.T) {
			st := &stage{onErr: func(o *Out, from edge.Flow) { _ = o.Send([]byte("SIP/2.0 400 Bad\r\n\r\n"), from) }}
			s := serve(t, oneWS("127.0.0.1:0"), st)
			conn := rawWS(t, s.Listeners()[0].Addr)
			go func() { _, _ = conn.Write(c.raw) }()
			all, err := io.ReadAll(conn)
			if err != nil || len(all) < 4 {
				t.Fatalf("read %q, %v", all, err)
			}
			end := all[len(all)-4:]
			if end[0] != 0x88 || end[1] != 2 || binary.BigEndian.Uint16(end[2:]) != c.code {
				t.Errorf("the last frame is %x, want close %d", end, c.code)
			}
			s.Close()
			for len(st.calls) > 0 {
				if call := <-st.calls; call.what == "receive" {
					t.Errorf("received %q", call.bytes)
				}
			}
			if n := s.Counters().RefusedFrames; n != 1 {
				t.Errorf("%d refused frames", n)
			}
		})
	}
}

// Control frames stand between the frames of a message, and of many pings the last is answered.
func TestWebSocketControlBetween(t *testing.T) {
	st := &stage{}
	s := serve(t, oneWS("127.0.0.1:0"), st)
	c := rawWS(t, s.Listeners()[0].Addr)
	m := message("x", 5000)
	raw := siptest.Frame(0x01, []byte(m[:100]))
	for i := range 50 {
		raw = append(raw, siptest.Frame(0x89, []byte{byte(i)})...)
	}
	raw = append(raw, siptest.Frame(0x00, []byte(nil))...)
	raw = append(raw, siptest.Frame(0x8A, []byte("unasked"))...)
	raw = append(raw, siptest.Frame(0x00, []byte(m[100:4000]))...)
	raw = append(raw, siptest.Frame(0x80, []byte(m[4000:]))...)
	for len(raw) > 0 { // in pieces that fit nothing
		n := min(len(raw), 97)
		_, _ = c.Write(raw[:n])
		raw = raw[n:]
	}
	if got := st.next(t, "receive"); got.bytes != m {
		t.Errorf("got %d bytes", len(got.bytes))
	}
	last := readAll(t, c, 3)
	for last != "\x8a\x01\x31" {
		if last[:2] != "\x8a\x01" {
			t.Fatalf("got %x", last)
		}
		last = readAll(t, c, 3)
	}
}

// A message in frames of one byte each needs no more room than any other.
func TestWebSocketTinyFrames(t *testing.T) {
	st := &stage{}
	s := serve(t, oneWS("127.0.0.1:0"), st)
	c := rawWS(t, s.Listeners()[0].Addr)
	m := message("x", 60_000)
	var raw []byte
	for i := range len(m) {
		first := byte(0)
		if i == 0 {
			first = 0x02
		}
		raw = append(raw, siptest.Frame(first, []byte{m[i]})...)
	}
	go func() { _, _ = c.Write(append(raw, siptest.Frame(0x80, []byte(nil))...)) }()
	if got := st.next(t, "receive"); got.bytes != m {
		t.Errorf("got %d bytes", len(got.bytes))
	}
}

// Nobody can be called over a new WebSocket connection, and what cannot be written is told without its frame.
func TestWebSocketFlows(t *testing.T) {
	var from edge.Flow
	got := make(chan bool, 1)
	st := &stage{on: func(_ *Out, _ []byte, f edge.Flow) { from = f; got <- true }}
	s := serve(t, oneWS("127.0.0.1:0"), st)
	c := rawWS(t, s.Listeners()[0].Addr)
	_, _ = c.Write(siptest.Frame(0x81, []byte(message("x", 0))))
	<-got
	o := s.NewOut()
	_ = s.conns.find(from).tcp.SetWriteBuffer(4096)
	for range 4 { // more than the kernel takes of them, as the far end does not read, and less than the queue
		if err := o.Send([]byte(message("queued", 60_000)), from); err != nil {
			t.Fatal(err)
		}
		o.Flush()
	}
	c.Close()
	if call := st.next(t, "undelivered"); !strings.HasPrefix(call.bytes, "OPTIONS sip:") {
		t.Errorf("undelivered %.30q", call.bytes)
	}
	if err := o.Send([]byte(message("new", 0)), edge.Flow{Remote: from.Remote, Transport: edge.WS}); err != ErrGone {
		t.Errorf("a connection of ours: %v", err)
	}
}

// Connections that stop in the HTTP request are closed after the deadline of handshakes, and nothing is left of any.
func TestWebSocketLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fds := descriptors(t)
	cfg := oneWS("127.0.0.1:0")
	cfg.HandshakeTimeout, cfg.ConnectionsPerSource = time.Second, 200
	s := serve(t, cfg, &stage{on: echo})
	for i := range 100 {
		c := dialTCP(t, s.Listeners()[0].Addr)
		fmt.Fprint(c, handshake[:i])
		defer c.Close()
	}
	open := rawWS(t, s.Listeners()[0].Addr)
	eventually(t, "the deadline", func() bool { return s.Counters().HandshakeErrors == 100 && s.Counters().ConnectionsOpen == 1 })
	_, _ = open.Write(siptest.Frame(0x81, []byte("\r\n\r\n")))
	if got := readAll(t, open, 4); got != "\x81\x02\r\n" {
		t.Errorf("got %q", got)
	}
	s.Close()
	if end, err := io.ReadAll(open); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%x, %v", end, err)
	}
	open.Close()
	goleak.VerifyNone(t, before)
	eventually(t, "only the test's own descriptors", func() bool { return descriptors(t) <= fds+100 })
}

// FuzzWebSocket: whatever comes in whatever pieces, nothing panics, the buffer is kept to, and what is found does not depend on the
// pieces.
func FuzzWebSocket(f *testing.F) {
	f.Add(siptest.Frame(0x81, []byte(message("x", 3))), uint8(7))
	f.Add(append(siptest.Frame(0x01, []byte(message("x", 0))[:9]), siptest.Frame(0x80, []byte(message("x", 0))[9:])...), uint8(1))
	f.Add(append(siptest.Frame(0x89, []byte("ping")), siptest.Frame(0x82, []byte("\r\n\r\n"))...), uint8(3))
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		whole, werr := unframe(raw, len(raw)+1)
		parts, perr := unframe(raw, int(piece)+1)
		if strings.Join(whole, "|") != strings.Join(parts, "|") || fmt.Sprint(werr) != fmt.Sprint(perr) {
			t.Errorf("whole %q %v, in pieces %q %v", whole, werr, parts, perr)
		}
	})
}

// unframe feeds raw to a framer as a connection does.
func unframe(raw []byte, piece int) (found []string, err error) {
	ws := &webSocket{max: 2048}
	var buf []byte
	for len(raw) > 0 {
		n := min(piece, len(raw))
		buf, raw = append(buf, raw[:n]...), raw[n:]
		for len(buf) > 0 {
			kind, size, n, err := ws.next(buf)
			if err != nil {
				return found, err
			}
			if kind == sip.FrameMore {
				break
			}
			found = append(found, string(buf[:size]))
			buf = buf[n:]
		}
		buf = buf[:ws.pack(buf)]
	}
	return found, nil
}
