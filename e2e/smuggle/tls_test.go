package smuggle

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// Row S34: what comes before TLS is up.

// recorder keeps the first flight of a handshake and sends nothing.
type recorder struct {
	net.Conn
	hello []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.hello = append(r.hello, b...)
	return len(b), nil
}

func (r *recorder) Read([]byte) (int, error) { return 0, io.EOF }

// hello is a ClientHello for name with these protocols.
func hello(cfg *tls.Config) string {
	r := &recorder{}
	_ = tls.Client(r, cfg).Handshake() // fails at the first read
	return string(r.hello)
}

// record is a TLS record.
func record(kind byte, payload string) string {
	return string([]byte{kind, 3, 1, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

// tlsOddities (S34): no handshake, however odd, brings a message to the platform or keeps others from theirs.
func tlsOddities(t *testing.T) {
	site := newSite(t, "hellos", "", monitor)
	id := newID()
	s := newStation(t, site, "tls")
	sip := s.fill(honest().String(), id)
	good := hello(&tls.Config{ServerName: "a.example.com"})
	oddities := map[string]string{
		"SIP in the clear": sip, "SIP in a record": record(23, sip), "SIP in a handshake record": record(22, sip), "HTTP": "GET / HTTP/1.1\r\n\r\n" + sip, "nothing but zeros": strings.Repeat("\x00", 500),
		"SSL 2": "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x01", 40), "SSL 3": "\x16\x03\x00" + good[3:], "record of 65,535 bytes": "\x16\x03\x01\xff\xff" + strings.Repeat("a", 70000), "empty records": strings.Repeat(record(22, ""), 100) + sip,
		"warnings": strings.Repeat(record(21, "\x01\x00"), 100) + sip, "a fatal alert": record(21, "\x02\x28") + sip, "change cipher spec first": record(20, "\x01") + sip, "heartbeat": record(24, "\x01\xff\xff") + sip, "a hello, then SIP": good + sip,
		"two hellos": good + good + sip, "a hello of 16 MB": record(22, "\x01\xff\xff\xff"+strings.Repeat("a", 16000)) + sip, "half a hello": good[:len(good)/2], "a hello with its lengths broken": good[:43] + "\xff\xff\xff" + good[46:],
		"a server's hello": record(22, "\x02"+good[6:]), "a finished": record(22, "\x14\x00\x00\x0c"+strings.Repeat("f", 12)), "renegotiation": good + record(22, "\x00\x00\x00\x00") + sip, "a record of kind 255": record(255, sip),
	}
	for _, way := range []string{"tls", "wss"} {
		for name, bytes := range oddities {
			conn, err := net.Dial("tcp", site.to(way).String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, bytes)
			_ = conn.(*net.TCPConn).CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(siptest.Deadline))
			if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
				t.Errorf("%s, %s: the connection stays open", way, name)
			}
			conn.Close()
		}
		newStation(t, site, way).mark()
	}
	if n := len(site.platform.arrived(id)); n > 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// tlsNames (S34): whatever name, protocol or version a client asks for, it gets an ordinary connection or none.
func tlsNames(t *testing.T) {
	site := newSite(t, "names", "", monitor)
	s := newStation(t, site, "tls")
	for name, c := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{
		"no name": {&tls.Config{}, true}, "an unknown name": {&tls.Config{ServerName: "nobody.example.com"}, true}, "a long name": {&tls.Config{ServerName: strings.Repeat("a.", 120) + "com"}, true}, "upper case": {&tls.Config{ServerName: "A.EXAMPLE.COM"}, true},
		"a name with NUL": {&tls.Config{ServerName: "a\x00b.example.com"}, true}, "a name with a slash": {&tls.Config{ServerName: "../../etc/passwd"}, true}, "ALPN sip": {&tls.Config{NextProtos: []string{"sip"}}, true},
		"ALPN h2 and sip": {&tls.Config{NextProtos: []string{"h2", "sip"}}, true}, "ALPN http/1.1": {&tls.Config{NextProtos: []string{"http/1.1"}}, true}, "ALPN with bytes": {&tls.Config{NextProtos: []string{"\x00\xff\r\n"}}, true}, "a hundred protocols": {&tls.Config{NextProtos: strings.Split(list(100, "p#", " "), " ")}, true},
		"TLS 1.2": {&tls.Config{MaxVersion: tls.VersionTLS12}, true}, "TLS 1.1": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false}, "TLS 1.0": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, false},
		"renegotiation asked for": {&tls.Config{MaxVersion: tls.VersionTLS12, Renegotiation: tls.RenegotiateFreelyAsClient}, true},
	} {
		s.hangup()
		w, err := dial("tcp", s.ip, site.to("tls"))
		must(t, err)
		c.cfg.InsecureSkipVerify = true // the name is the oddity; nothing is proven here
		secure := tls.Client(w.Conn, c.cfg)
		err = secure.Handshake()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			s.w = &wire{Conn: secure, way: "tls"}
			s.mark()
			continue
		}
		w.Close()
	}
	t.Run("half handshakes", func(t *testing.T) { halves(t, site) })
}

// halves: as many half handshakes as one source may have, from ten sources; a phone gets through meanwhile.
func halves(t *testing.T, site *site) {
	half := hello(&tls.Config{ServerName: "a.example.com"})
	for range 10 {
		ip := siptest.OwnIP()
		for i := range 60 {
			w, err := dial("tcp", ip, site.to("tls"))
			must(t, err)
			defer w.Close()
			_ = w.send(half[:len(half)*(i%4)/4])
		}
	}
	began := time.Now()
	if e := newStation(t, site, "tls").mark(); !e.passed {
		t.Error("no honest connection gets through")
	}
	t.Log(fmt.Sprint("an honest request took ", time.Since(began)))
}
