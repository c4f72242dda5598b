package demo

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; it only decides how soon a broken test fails.
const patience = 10 * time.Second

// startPlatform starts a platform with usual timers, changed by change if not nil.
func startPlatform(t *testing.T, change func(*timing)) *Platform {
	t.Helper()
	timing := usualTiming
	if change != nil {
		change(&timing)
	}
	p, err := Start(context.Background(), Config{timing: timing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A phone is a tiny user agent that knows SIP as text only, so that it shares no code with what it tests.
type phone struct {
	t        *testing.T
	p        *Platform
	user     string
	password string
	stream   bool
	net.Conn
	in   *bufio.Reader
	auth string // header line with credentials, or ""
	seq  int
	seen map[string]bool // all messages so far
}

func newPhone(t *testing.T, p *Platform, user, network string) *phone {
	t.Helper()
	ph := &phone{t: t, p: p, user: user, stream: network == "tcp", seen: map[string]bool{}}
	if a := p.account(user); a != nil {
		ph.password = a.Password
	}
	conn, err := net.Dial(network, p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ph.Conn, ph.in = conn, bufio.NewReader(conn)
	return ph
}

// dialFrom opens a UDP socket on another loopback address.
func dialFrom(t *testing.T, p *Platform, addr string) net.Conn {
	t.Helper()
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr+":0")), net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (ph *phone) local() string { return ph.LocalAddr().String() }

func (ph *phone) contact() string {
	if ph.stream {
		return "<sip:" + ph.user + "@" + ph.local() + ";transport=tcp>"
	}
	return "<sip:" + ph.user + "@" + ph.local() + ">"
}

// put sends one message; lines are written with \n for short.
func (ph *phone) put(head, body string) {
	ph.t.Helper()
	head = strings.TrimSuffix(head, "\n") + "\nContent-Length: " + strconv.Itoa(len(body)) + "\n\n"
	if _, err := io.WriteString(ph, strings.ReplaceAll(head, "\n", "\r\n")+body); err != nil {
		ph.t.Fatal(err)
	}
}

// get waits for the next message.
func (ph *phone) get() string {
	ph.t.Helper()
	m, err := ph.tryGet(patience)
	if err != nil {
		ph.t.Fatalf("%s waits for a message: %v", ph.user, err)
	}
	ph.seen[m] = true
	return m
}

func (ph *phone) tryGet(wait time.Duration) (string, error) {
	ph.SetReadDeadline(time.Now().Add(wait))
	if !ph.stream {
		buf := make([]byte, 1<<16)
		n, err := ph.Read(buf)
		return string(buf[:n]), err
	}
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := ph.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
	}
	n, _ := strconv.Atoi(field(head.String(), "Content-Length"))
	body := make([]byte, n)
	_, err := io.ReadFull(ph.in, body)
	return head.String() + string(body), err
}

// want waits for the next message that is neither 100 nor a retransmission; it must start with start.
func (ph *phone) want(start string) string {
	ph.t.Helper()
	for {
		m, err := ph.tryGet(patience)
		switch {
		case err != nil:
			ph.t.Fatalf("%s waits for %q: %v", ph.user, start, err)
		case ph.seen[m] || strings.HasPrefix(m, "SIP/2.0 100"):
		case strings.HasPrefix(m, start):
			ph.seen[m] = true
			return m
		default:
			ph.t.Fatalf("%s wants %q, got\n%s", ph.user, start, m)
		}
	}
}

// field returns the value of the first header field called name.
func field(m, name string) string {
	if all := fields(m, name); len(all) > 0 {
		return all[0]
	}
	return ""
}

func fields(m, name string) (all []string) {
	head, _, _ := strings.Cut(m, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

func bodyOf(m string) string {
	_, b, _ := strings.Cut(m, "\r\n\r\n")
	return b
}

func param(v, name string) string {
	_, rest, ok := strings.Cut(v, ";"+name+"=")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, ";")
	return strings.Trim(rest, ">")
}

// A leg is what the requests of one dialog or transaction share.
type leg struct {
	callID, to, uri string // to with its tag, if there is one
	cseq            int
	branch          string
	extra           string // more header lines
}

func (ph *phone) newLeg(number string) *leg {
	ph.seq++
	uri := "sip:" + number + "@" + ph.p.Addr().String()
	return &leg{callID: fmt.Sprintf("%s-%s-%d", ph.user, ph.local(), ph.seq), to: "<" + uri + ">", uri: uri}
}

// send sends a request of l: a new transaction, except that ACK and CANCEL repeat the CSeq (and CANCEL the branch).
func (ph *phone) send(method string, l *leg, body string) {
	ph.t.Helper()
	if method != "ACK" && method != "CANCEL" {
		l.cseq++
	}
	if method != "CANCEL" {
		ph.seq++
		l.branch = fmt.Sprintf("z9hG4bK-%s-%d", ph.user, ph.seq)
	}
	ph.resend(method, l, body)
}

// resend sends it with the branch and CSeq of before.
func (ph *phone) resend(method string, l *leg, body string) {
	ph.t.Helper()
	transport := "UDP"
	if ph.stream {
		transport = "TCP"
	}
	head := fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/%s %s;branch=%s;rport\nMax-Forwards: 70\nFrom: <sip:%s@demo>;tag=from-%s\nTo: %s\nCall-ID: %s\nCSeq: %d %s\nContact: %s\n%s%s",
		method, l.uri, transport, ph.local(), l.branch, ph.user, ph.user, l.to, l.callID, l.cseq, method, ph.contact(), l.extra, ph.auth)
	if body != "" {
		head += "Content-Type: application/sdp\n"
	}
	ph.put(head, body)
}

// ask sends a request, answers one challenge, and returns the first reply that is neither 100 nor a challenge.
func (ph *phone) ask(method string, l *leg, body string) string {
	ph.t.Helper()
	ph.send(method, l, body)
	m := ph.want("SIP/2.0")
	if strings.HasPrefix(m, "SIP/2.0 401") || strings.HasPrefix(m, "SIP/2.0 407") {
		if method == "INVITE" {
			to := l.to
			l.to = field(m, "To")
			ph.resend("ACK", l, "")
			l.to = to
		}
		ph.authorize(m, method, l.uri)
		ph.send(method, l, body)
		m = ph.want("SIP/2.0")
		ph.auth = ""
	}
	return m
}

// authorize answers the one challenge in m.
func (ph *phone) authorize(m, method, uri string) {
	ph.t.Helper()
	challenges, name := fields(m, "WWW-Authenticate"), "Authorization"
	if strings.HasPrefix(m, "SIP/2.0 407") {
		challenges, name = fields(m, "Proxy-Authenticate"), "Proxy-Authorization"
	}
	if len(challenges) != 1 {
		ph.t.Fatalf("%d challenges in\n%s", len(challenges), m)
	}
	c := challenges[0]
	realm, nonce, algorithm := quoted(c, "realm"), quoted(c, "nonce"), quoted(c, "algorithm")
	h := func(s string) string { x := md5.Sum([]byte(s)); return hex.EncodeToString(x[:]) }
	if algorithm == "SHA-256" {
		h = func(s string) string { x := sha256.Sum256([]byte(s)); return hex.EncodeToString(x[:]) }
	}
	response := h(h(ph.user+":"+realm+":"+ph.password) + ":" + nonce + ":00000001:abc:auth:" + h(method+":"+uri))
	ph.auth = fmt.Sprintf("%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=%s, qop=auth, nc=00000001, cnonce=\"abc\"\n",
		name, ph.user, realm, nonce, uri, response, algorithm)
}

// quoted returns a parameter of a challenge without its quotes.
func quoted(challenge, name string) string {
	_, rest, _ := strings.Cut(challenge, name+"=")
	rest, _, _ = strings.Cut(rest, ",")
	return strings.Trim(rest, `"`)
}

// register registers the phone's own Contact.
func (ph *phone) register() {
	ph.t.Helper()
	if m := ph.ask("REGISTER", ph.newLeg(ph.user), ""); !strings.HasPrefix(m, "SIP/2.0 200") {
		ph.t.Fatalf("REGISTER of %s:\n%s", ph.user, m)
	}
}

// reply answers request m with a tag of the phone's own.
func (ph *phone) reply(m, status, body string) {
	ph.t.Helper()
	head := "SIP/2.0 " + status + "\n"
	for _, v := range fields(m, "Via") {
		head += "Via: " + v + "\n"
	}
	for _, v := range fields(m, "Record-Route") {
		head += "Record-Route: " + v + "\n"
	}
	to := field(m, "To")
	if !strings.Contains(to, ";tag=") {
		to += ";tag=to-" + ph.user
	}
	head += "From: " + field(m, "From") + "\nTo: " + to + "\nCall-ID: " + field(m, "Call-ID") + "\nCSeq: " + field(m, "CSeq") + "\nContact: " + ph.contact()
	if body != "" {
		head += "\nContent-Type: application/sdp"
	}
	ph.put(head, body)
}

// rtpPort opens a UDP socket for media.
func rtpPort(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func sdp(media *net.UDPConn, formats, more string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\n%s",
		media.LocalAddr().(*net.UDPAddr).Port, formats, more)
}

// mediaAddr is where an SDP of the platform wants RTP.
func mediaAddr(t *testing.T, body string) netip.AddrPort {
	t.Helper()
	s, err := parseSDP([]byte(body))
	if err != nil {
		t.Fatalf("%v in\n%s", err, body)
	}
	return s.remote
}

// rtp is one packet with a recognisable payload.
func rtp(codec int, seq byte) []byte {
	p := make([]byte, rtpHeader+ptimeBytes)
	p[0], p[1], p[3], p[11] = 0x80, byte(codec), seq, 77
	for i := rtpHeader; i < len(p); i++ {
		p[i] = byte(i) ^ seq
	}
	return p
}

func getRTP(t *testing.T, c *net.UDPConn) []byte {
	t.Helper()
	buf := make([]byte, 1500)
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("no RTP: %v", err)
	}
	return buf[:n]
}
