package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// A PhoneCall is a call of a Phone: a dialog (RFC 3261 §12) and an RTP socket.
type PhoneCall struct {
	phone  *Phone
	dialog outgoing // what the next request is made from
	rtp    *net.UDPConn
	remote netip.AddrPort // where the far end wants its media

	// Of a call that came in, guarded by Phone.mu.
	last  []byte // the response to INVITE
	acked bool
	once  sync.Once
}

// Call calls another user and returns when the call is answered and the answer acknowledged.
func (p *Phone) Call(ctx context.Context, user string) (*PhoneCall, error) {
	rtp, err := openRTP()
	if err != nil {
		return nil, err
	}
	uri := "sip:" + user + "@" + p.cfg.Domain
	o := p.outside("INVITE", uri, uri)
	o.fields = "Contact: <" + p.contact + ">\r\n"
	o.body = describe(rtp)
	c := &PhoneCall{phone: p, rtp: rtp}
	m, err := p.ask(ctx, o)
	if err == nil {
		err = wanted(m, "INVITE")
	}
	if err == nil {
		err = c.established(o, m)
	}
	if err != nil {
		c.closeMedia()
		return nil, err
	}
	return c, nil
}

// established makes the caller's dialog of the 2xx m and acknowledges it (RFC 3261 §12.1.2, §13.2.2.4).
func (c *PhoneCall) established(o *outgoing, m *sip.Message) error {
	target, err := contactOf(m)
	if err != nil {
		return fmt.Errorf("the answer to INVITE: %w", err)
	}
	answer, err := parseSDP(m.Body.Of(m.Raw))
	if err != nil {
		return fmt.Errorf("the answer to INVITE: %w", err)
	}
	c.remote = answer.remote
	routes := routesOf(m)
	slices.Reverse(routes)
	c.dialog = outgoing{uri: target, from: o.from, to: string(m.Value(sip.FieldTo)), callID: o.callID, seq: o.seq, routes: routes}
	ack := c.dialog
	ack.method = "ACK"
	return c.phone.link.write(c.phone.text(&ack, newBranch()))
}

// Hangup ends the call with BYE.
func (c *PhoneCall) Hangup(ctx context.Context) error {
	defer c.closeMedia()
	c.dialog.seq++
	bye := c.dialog
	bye.method = "BYE"
	m, err := c.phone.once(ctx, &bye)
	if err != nil {
		return err
	}
	return wanted(m, "BYE")
}

// CallID is the Call-ID of the call.
func (c *PhoneCall) CallID() string { return c.dialog.callID }

// Echo sends n RTP packets, one after the other, and returns how many came back before ctx ended.
func (c *PhoneCall) Echo(ctx context.Context, n int) (back int, err error) {
	if end, ok := ctx.Deadline(); ok {
		if err := c.rtp.SetReadDeadline(end); err != nil {
			return 0, err
		}
	}
	packet, buf := make([]byte, rtpHeader+ptimeBytes), make([]byte, 1500)
	packet[0], packet[1] = 0x80, pcmu
	if _, err := rand.Read(packet[2:]); err != nil {
		return 0, err
	}
	for i := range n {
		binary.BigEndian.PutUint16(packet[2:], uint16(i))
		if _, err := c.rtp.WriteToUDPAddrPort(packet, c.remote); err != nil {
			return back, fmt.Errorf("send RTP to %v: %w", c.remote, err)
		}
		k, err := c.rtp.Read(buf)
		if err != nil {
			return back, fmt.Errorf("wait for RTP from %v: %w", c.remote, err)
		}
		if k == len(packet) && bytes.Equal(buf[2:4], packet[2:4]) && bytes.Equal(buf[rtpHeader:k], packet[rtpHeader:]) {
			back++
		}
	}
	return back, nil
}

func (c *PhoneCall) closeMedia() { c.once.Do(func() { _ = c.rtp.Close() }) }

// request answers what comes in: INVITE with a call, BYE by ending it, OPTIONS; nothing else.
func (p *Phone) request(m *sip.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	id := string(m.CallID.Of(m.Raw))
	c := p.answered[id]
	switch {
	case m.Method == sip.INVITE && c != nil:
		_ = p.link.write(c.last) // a retransmission; what can't be written shows in the call
	case m.Method == sip.INVITE:
		p.accept(m, id)
	case m.Method == sip.ACK:
		if c != nil {
			c.acked = true
		}
	case m.Method == sip.BYE && c != nil:
		if c.acked {
			p.complete++
		}
		c.closeMedia()
		delete(p.answered, id)
		p.reply(m, 200)
	case m.Method == sip.BYE || m.Method == sip.CANCEL:
		p.reply(m, 481)
	case m.Method == sip.OPTIONS:
		p.reply(m, 200)
	default:
		p.reply(m, 405, sip.Header{Name: "Allow", Value: []byte("INVITE, ACK, BYE, CANCEL, OPTIONS")})
	}
}

func (p *Phone) reply(m *sip.Message, status int, fields ...sip.Header) {
	_ = p.link.write(sip.AppendReply(nil, m, nil, status, "", []byte(rand.Text()[:10]), fields...))
}

// accept rings and answers (RFC 3261 §13.3.1).
func (p *Phone) accept(m *sip.Message, id string) {
	rtp, err := openRTP()
	if err != nil {
		p.reply(m, 480)
		return
	}
	c := &PhoneCall{phone: p, rtp: rtp}
	fields := []sip.Header{{Name: "Contact", Value: []byte("<" + p.contact + ">")}}
	for _, r := range routesOf(m) {
		fields = append(fields, sip.Header{Name: "Record-Route", Value: []byte(r)})
	}
	tag := []byte(rand.Text()[:10])
	_ = p.link.write(sip.AppendReply(nil, m, nil, 180, "", tag, fields...))
	body := describe(rtp)
	fields = append(fields, sip.Header{Name: "Content-Type", Value: []byte("application/sdp")})
	c.last = bodied(sip.AppendReply(nil, m, nil, 200, "", tag, fields...), body)
	_ = p.link.write(c.last)
	p.answered[id] = c
	p.wg.Go(c.echo)
}

// echo sends media back to where it came from, until the call ends.
func (c *PhoneCall) echo() {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.rtp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = c.rtp.WriteToUDPAddrPort(buf[:n], from)
	}
}

// bodied gives an empty message of ours a body.
func bodied(b []byte, body string) []byte {
	head := bytes.TrimSuffix(b, []byte("Content-Length: 0\r\n\r\n"))
	return fmt.Appendf(slices.Clip(head), "Content-Length: %d\r\n\r\n%s", len(body), body)
}

func openRTP() (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open a socket for media: %w", err)
	}
	return c, nil
}

// describe is the SDP of a stream on rtp (RFC 4566).
func describe(rtp *net.UDPConn) string {
	at := rtp.LocalAddr().(*net.UDPAddr).AddrPort()
	return fmt.Sprintf("v=0\r\no=- %d 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP %d\r\na=sendrecv\r\n",
		time.Now().Unix(), at.Addr(), at.Addr(), at.Port(), pcmu)
}

// contactOf is the URI of the Contact of m: the remote target.
func contactOf(m *sip.Message) (string, error) {
	i := m.Find(sip.FieldContact)
	if i < 0 {
		return "", fmt.Errorf("%d has no Contact", m.Status)
	}
	a, _, err := sip.NextAddress(m.Raw, m.Fields[i].Value)
	return string(a.URI.Of(m.Raw)), err
}

// routesOf are the Record-Route values of m, in their order.
func routesOf(m *sip.Message) (routes []string) {
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			routes = append(routes, string(a.Whole.Of(m.Raw)))
		}
	}
	return routes
}
