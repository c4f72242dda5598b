package sip

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"
)

// invite is an INVITE of 1.1 KB with 16 fields and a session description.
var invite = []byte("INVITE sip:+4930123456@example.com;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.23:5060;branch=z9hG4bK-524287-1---4a3f0e9d1c2b7a65;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"Contact: <sip:alice@198.51.100.23:5060;transport=udp>\r\n" +
	"To: \"Bob Baker\" <sip:+4930123456@example.com;user=phone>\r\n" +
	"From: \"Alice Archer\" <sip:alice@example.com;transport=udp>;tag=9f2c4e61\r\n" +
	"Call-ID: 84011MTk2ZDQ3NjY0YzU1OGM5ZWQxMTY4NDg4ZmQzNWYxYzQ\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, REFER, INFO, NOTIFY, UPDATE, PRACK, MESSAGE, OPTIONS, SUBSCRIBE\r\n" +
	"Supported: replaces, outbound, gruu, path, 100rel, timer\r\n" +
	"User-Agent: ExamplePhone 5.18.2 rev 110088\r\n" +
	"Allow-Events: presence, kpml, talk, hold\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"Min-SE: 90\r\n" +
	"Accept: application/sdp, application/dtmf-relay\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 257\r\n\r\n" + sdp)

const sdp = "v=0\r\no=- 3862919210 3862919210 IN IP4 198.51.100.23\r\ns=call\r\nc=IN IP4 198.51.100.23\r\nt=0 0\r\n" +
	"m=audio 41000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\na=rtcp:41001\r\n"

func BenchmarkParse(b *testing.B) {
	var m Message
	b.SetBytes(int64(len(invite)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Parse(invite, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSipgo(b *testing.B) {
	sipgo.SetDefaultLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	p := sipgo.NewParser()
	b.SetBytes(int64(len(invite)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.ParseSIP(invite); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLines is the floor that any parser by lines stands on: find every line end and every colon.
func BenchmarkLines(b *testing.B) {
	for b.Loop() {
		for rest := invite; len(rest) > 2; {
			k := bytes.IndexByte(rest, '\n')
			if k < 0 {
				break
			}
			bytes.IndexByte(rest[:k], ':')
			rest = rest[k+1:]
		}
	}
}

func BenchmarkEdit(b *testing.B) {
	var m Message
	if err := m.Parse(invite, true); err != nil {
		b.Fatal(err)
	}
	var e Edit
	var out []byte
	via := []byte("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK9d0a7c5e3b1f2a48")
	route := []byte("<sip:4f6a7c@10.0.0.1:5060;lr>")
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(&m)
		e.Top(FieldVia, via)
		e.Replace(m.Find(FieldMaxForwards), []byte("69"))
		e.Before(m.Find(FieldContact), FieldRecordRoute, route)
		e.ReplaceSpan(m.Via.Field, m.Via.RPortAt, []byte("rport=5060"))
		out = e.AppendTo(out[:0])
	}
}

func BenchmarkReply(b *testing.B) {
	var m Message
	if err := m.Parse(invite, true); err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendReply(out[:0], &m, nil, 100, "", nil)
	}
}

func BenchmarkFramer(b *testing.B) {
	f := Framer{Max: MaxBody}
	b.ReportAllocs()
	for b.Loop() {
		if kind, _, err := f.Next(invite); kind != FrameMessage || err != nil {
			b.Fatal(kind, err)
		}
	}
}
