package smuggle

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Row S23: messages that are too large in one way or another.

// list is n things made by format, joined.
func list(n int, format, join string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.ReplaceAll(format, "#", fmt.Sprint(i))
	}
	return strings.Join(all, join)
}

// bombs are whole messages that fit a datagram and that no phone sends.
func bombs() (all []trial) {
	add := func(name, raw string) {
		all = append(all, trial{name: name, raw: raw})
	}
	method := func(n int) string { return strings.Repeat("M", n) }
	for _, n := range []int{65, 400, 4000, 40000} {
		add(fmt.Sprintf("a method of %d bytes", n), honest().begin(strings.Replace(startLine, "INVITE", method(n), 1)).set(lineCSeq, "CSeq: 7 "+method(min(n, 4000))).String())
	}
	for _, n := range []int{257, 9000, 40000} {
		add(fmt.Sprintf("a field name of %d bytes", n), honest().insert(lineTo, strings.Repeat("N", n)+": x\r\n"))
		add(fmt.Sprintf("a line of %d bytes without colon", n), honest().insert(lineTo, strings.Repeat("N", n)+"\r\n"))
	}
	for _, n := range []int{260, 500, 5000} {
		add(fmt.Sprintf("%d fields", n), honest().insert(lineTo, list(n, "Ex-#: y", "\r\n")+"\r\n"))
		add(fmt.Sprintf("%d equal fields", n), honest().insert(lineTo, list(n, "Other: y", "\r\n")+"\r\n"))
		add(fmt.Sprintf("%d lines without colon", n), honest().insert(lineTo, list(n, "x", "\r\n")+"\r\n"))
		add(fmt.Sprintf("%d folds", n), honest().insert(lineTo, "Other: y"+strings.Repeat("\r\n "+strings.Repeat("z", 12000/n+60), n)+"\r\n"))
	}
	for _, n := range []int{65, 70, 1000} {
		add(fmt.Sprintf("%d Via lines", n), honest().insert(0, list(n, "Via: SIP/2.0/UDP h#.example.com;branch=z9hG4bK#", "\r\n")+"\r\n"))
		add(fmt.Sprintf("%d Vias in a line", n), honest().insert(lineTo, "v: "+list(n, "SIP/2.0/UDP h#;branch=z9hG4bK#", ",")+"\r\n"))
	}
	for _, n := range []int{65, 700, 5000} {
		params := list(n, ";p#=v", "")
		add(fmt.Sprintf("%d parameters of Contact", n), honest().set(lineContact, "Contact: <sip:a@example.com>"+params).String())
		add(fmt.Sprintf("%d parameters of From", n), honest().set(lineFrom, "From: <sip:a@example.com>"+params).String())
		add(fmt.Sprintf("%d parameters of a Via", n), honest().insert(0, "Via: SIP/2.0/UDP a"+params+"\r\n"))
		add(fmt.Sprintf("%d parameters of the Request-URI", n), honest().begin(strings.Replace(startLine, " SIP/", params+" SIP/", 1)).String())
		add(fmt.Sprintf("%d parameters of a Route", n), honest().insert(lineTo, "Route: <sip:a@example.com"+params+">\r\n"))
		add(fmt.Sprintf("%d equal parameters of Contact", n), honest().set(lineContact, "Contact: <sip:a@example.com>"+strings.Repeat(";p", n)).String())
	}
	for _, n := range []int{33, 2000} {
		add(fmt.Sprintf("%d Contacts in a line", n), honest().set(lineContact, "Contact: "+list(n, "<sip:u#@h>", ",")).String())
		add(fmt.Sprintf("%d Contact lines", n), honest().insert(lineTo, list(n, "m: <sip:u#@h>", "\r\n")+"\r\n"))
	}
	for _, name := range []string{"Other", "Subject", "Contact", "To", "Call-ID", "Authorization", "Route", "Content-Type"} {
		add("a value of 40,000 bytes in "+name, honest().set(lineSubject, "").insert(lineTo, name+": "+strings.Repeat("v", 40000)+"\r\n"))
		add("40,000 blanks in "+name, honest().set(lineSubject, "").insert(lineTo, name+": a"+strings.Repeat(" ", 40000)+"b\r\n"))
		add("40,000 quotes in "+name, honest().set(lineSubject, "").insert(lineTo, name+": "+strings.Repeat("\"", 40000)+"\r\n"))
		add("40,000 backslashes in "+name, honest().set(lineSubject, "").insert(lineTo, name+": \""+strings.Repeat("\\", 40000)+"\"\r\n"))
		add("40,000 angles in "+name, honest().set(lineSubject, "").insert(lineTo, name+": "+strings.Repeat("<", 40000)+"\r\n"))
		add("40,000 commas in "+name, honest().set(lineSubject, "").insert(lineTo, name+": "+strings.Repeat(",", 40000)+"\r\n"))
	}
	add("a URI of 5,000 bytes", honest().begin("INVITE sip:"+strings.Repeat("a", 5000)+"@example.com SIP/2.0").String())
	add("a host of 5,000 bytes", honest().begin("INVITE sip:a@"+strings.Repeat("a.", 2500)+"com SIP/2.0").String())
	add("60,000 bytes without a line", strings.Repeat("A", 60000))
	add("60,000 bytes after a method", "INVITE "+strings.Repeat("A", 60000))
	add("30,000 empty lines and no message", strings.Repeat("\r\n", 30000)+"A")
	for i := len(all) - 2; i < len(all); i++ { // on a stream the next message would complete them
		all[i].over = "datagram"
	}
	return all
}

func s23() []trial {
	all := bombs()
	for i := range all {
		all[i].fate = none
	}
	return all
}

// bombsCost (S23): none of them costs more than a millisecond of processor time.
func bombsCost(t *testing.T) {
	if raced {
		t.Skip("the race detector costs more than a millisecond")
	}
	site := newSite(t, "bombs", "", monitor)
	s := newStation(t, site, "udp")
	s.mark()
	for _, b := range bombs() {
		const copies = 50
		raw := s.filled(b, newID()).raw
		before := site.edge.CPU()
		for range copies {
			_ = s.wire().send(raw)
		}
		s.mark()
		if spent := (site.edge.CPU() - before) / copies; spent > time.Millisecond {
			t.Errorf("%s: %v each", b.name, spent)
		}
	}
}
