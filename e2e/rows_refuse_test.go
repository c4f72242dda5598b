package e2e

import (
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

func p23(r *rig) {
	phone := r.phone("alice")
	m := phone.Request("INVITE", "sip:bob@example.com").Set("Proxy-Require", "teleport")
	if answer := r.refused(phone, m, "420"); answer != nil && answer.Get("Unsupported") != "teleport" {
		r.Errorf("420 without Unsupported:\n%s", answer.Raw)
	}
}

func p24(r *rig) {
	sent, got := r.invite(r.phone("alice"), set("Require", "teleport"))
	r.equal("Require", sent, got)
}

func p25(r *rig) {
	phone := r.phone("alice")
	for _, uri := range []string{"teleport:bob@example.com", "mailto:bob@example.com", "http://example.com/"} {
		r.refused(phone, phone.Request("INVITE", uri), "416")
	}
}

func p26(r *rig) {
	phone := r.phone("alice")
	raw := phone.Request("INVITE", "sip:bob@example.com").String()
	r.refusedRaw(phone, strings.Replace(raw, "SIP/2.0\r\n", "SIP/3.0\r\n", 1), "505")
}

func p27(r *rig) {
	phone := r.phone("alice")
	m := phone.Send(phone.Request("FROBNICATE", "sip:bob@example.com"))
	answer := phone.WaitIn(m.Get("Call-ID"), "", siptest.Deadline/2)
	switch {
	case answer == nil && !r.stream():
		r.Log("refused in silence")
	case answer == nil:
		r.Error("no answer")
	case answer.Status() != 405 && answer.Status() != 403:
		r.Errorf("answered with %d", answer.Status())
	}
	r.platform.Silence(hush, "FROBNICATE")
}

func p27Monitor(r *rig) {
	phone := r.phone("alice")
	for _, method := range []string{"FROBNICATE", "OPTIONS", "MESSAGE", "PUBLISH", "NOTIFY"} {
		sent := phone.Send(phone.Request(method, "sip:bob@example.com"))
		got := r.platform.Expect(method)
		r.equal("Call-ID", sent, got)
		r.platform.Reply(got, 202)
		phone.Expect("202 " + method)
	}
	phone.Send(phone.Request("INFO", "sip:bob@example.com").Set("To", "<sip:bob@example.com>;tag=1"))
	r.platform.Reply(r.platform.Expect("INFO"), 200)
	phone.Expect("200 INFO")
	phone.Send(phone.Request("ACK", "sip:bob@example.com").Set("To", "<sip:bob@example.com>;tag=1"))
	r.platform.Expect("ACK")
}

func p28(r *rig) {
	extra := []siptest.Field{{Name: "Zebra", Value: "one;two=\"th,ree\""}, {Name: "apple", Value: "a  b"},
		{Name: "ZEBRA", Value: "<again>"}, {Name: "Organization", Value: "Müller & Söhne"}, {Name: "Priority", Value: "urgent"}}
	_, got := r.invite(r.phone("alice"), func(m *siptest.Message) { m.Fields = append(m.Fields, extra...) })
	var found []siptest.Field
	for _, f := range got.Fields {
		for _, e := range extra {
			if f == e {
				found = append(found, f)
			}
		}
	}
	if len(found) != len(extra) {
		r.Fatalf("of %d fields %d came unchanged:\n%s", len(extra), len(found), got.Raw)
	}
	for i := range found {
		if found[i] != extra[i] {
			r.Errorf("field %d is %v, want %v", i, found[i], extra[i])
		}
	}
}

func p44(r *rig) {
	for in, want := range map[string]string{"25": "25", "": "60", "1": "1"} {
		_, got := r.invite(r.phone("alice"), func(m *siptest.Message) {
			if in != "" {
				m.Add("Max-Breadth", in)
			}
		})
		if got.Get("Max-Breadth") != want {
			r.Errorf("Max-Breadth %q became %q, want %q", in, got.Get("Max-Breadth"), want)
		}
	}
	phone := r.phone("carol")
	r.refused(phone, phone.Request("INVITE", "sip:bob@example.com").Set("Max-Breadth", "0"), "440")
}

func p61(r *rig) {
	phone := r.phone("alice")
	for _, uri := range []string{"sip:" + r.edge.Outside.String(), "sip:bob@example.com"} {
		phone.Send(phone.Request("OPTIONS", uri))
		answer := phone.Expect("200 OPTIONS")
		if strings.Contains(strings.ToLower(answer.Raw), "ringwall") || answer.Count("Server")+answer.Count("User-Agent") > 0 {
			r.Errorf("200 to OPTIONS names the product:\n%s", answer.Raw)
		}
	}
	r.platform.Silence(hush, "OPTIONS")
}

func p63(r *rig) {
	own := "<sip:" + r.edge.Outside.String() + ";lr>"
	for _, route := range []string{own, own + ", <sip:192.0.2.1;lr>", "<sip:192.0.2.1;lr>"} {
		sent := r.phone("alice")
		m := sent.Request("INVITE", "sip:bob@example.com").Set("Route", route)
		sent.SendTo(r.edge.Outside, r.way.out, m.String())
		if got := r.platform.Expect("INVITE"); got.Count("Route") != 0 {
			r.Errorf("Route %s reached the platform as %q", route, got.All("Route"))
		}
	}
}
