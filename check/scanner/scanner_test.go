package scanner

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

func tag(text string) string {
	return "From: <sip:100@203.0.113.9>;tag=" + hex.EncodeToString([]byte(text))
}

func TestMarks(t *testing.T) {
	for name, c := range map[string]struct {
		field  string
		reason edge.Reason
		score  float64
	}{
		"an honest phone":             {"User-Agent: Yealink SIP-T46S 66.85.0.5", "", 0},
		"no User-Agent":               {"User-Agent:", "", 0},
		"svmap":                       {"User-Agent: friendly-scanner", "scanner.agent", 10},
		"another case":                {"User-Agent: FRIENDLY-Scanner/2", "scanner.agent", 10},
		"SIPPTS":                      {"User-Agent: pplsip", "scanner.agent", 10},
		"nmap":                        {"User-Agent: Nmap NSE", "scanner.agent", 10},
		"quoted inside another":       {"User-Agent: not a friendly-scanner", "", 0},
		"svwar, agent removed":        {tag("100\x012847293847"), "scanner.tag", 10},
		"svcrack, password in it":     {tag("100:4711\x0183927493"), "scanner.tag", 10},
		"svcrack's first":             {"From: <sip:100@h>;tag=3206210844", "scanner.tag", 10},
		"a phone's hex tag":           {"From: <sip:100@h>;tag=7d9d319e8f2a", "", 0},
		"nobody is there":             {"Contact: <sip:100@1.1.1.1>", "scanner.shape", 10},
		"someone is there":            {"Contact: <sip:100@11.1.1.1>", "", 0},
		"display":                     {`From: "sipvicious" <sip:100@h>;tag=1`, "scanner.shape", 10},
		"branch without cookie":       {"Via: SIP/2.0/UDP 192.0.2.1;branch=" + fmt.Sprintf("%071d", 7), "scanner.shape", 10},
		"an old phone's branch":       {"Via: SIP/2.0/UDP 192.0.2.1;branch=7f3", "", 0},
		"nmap's service probe":        {"From: <sip:nm@nm>;tag=root", "scanner.shape", 10},
		"nmap's library":              {"Allow: PRACK, INVITE ,ACK, BYE, CANCEL", "scanner.shape", 10},
		"sipsak":                      {"User-Agent: sipsak 0.9.8", "scanner.weak", 2},
		"a host of RFC 3261":          {"Via: SIP/2.0/UDP pc33.atlanta.com;rport;branch=z9hG4bK7", "scanner.weak", 2},
		"an account that scripts try": {"From: <sip:trunk@203.0.113.9>;tag=1", "scanner.weak", 2},
		"svmap's, without its marks":  {"From: <sip:100@203.0.113.9>;tag=1", "scanner.weak", 2},
		"somewhere else":              {"From: <sip:trunk@203.0.113.99>;tag=1", "", 0},
		"a domain":                    {"From: <sip:trunk@example.com>;tag=1", "", 0},
		"a name that scripts have":    {`From: "MAYET" <sip:1@h>;tag=1`, "scanner.weak", 2},
		"a User-Agent of a letter":    {"User-Agent: x", "scanner.weak", 2},
		"from a host of RFC 3261":     {"From: <sip:alice@atlanta.com>;tag=1", "scanner.weak", 2},
		"random letters":              {"User-Agent: qXkVbRtL", "scanner.weak", 1},
	} {
		v := checktest.Opinion(New(Config{}, checktest.Key).Inspect(checktest.Exchange(t, checktest.Request("OPTIONS", "sip:203.0.113.9", c.field))))
		if v.Reason != c.reason || v.Score != c.score || (v.Action == edge.Drop) != (c.score == 10) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestWeak: weak signs add up to three points, of all messages together, and are no matter of testers whom the operator named. No rport is none by itself.
func TestWeak(t *testing.T) {
	const noRPort = "Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK524287"
	const himself, sipsak = "sip:100@example.com", "User-Agent: sipsak 0.9.8"
	for name, c := range map[string]struct {
		method string
		fields []string
		change func(x *edge.Exchange)
		score  float64
	}{
		"no rport":                       {"OPTIONS", []string{noRPort}, nil, 0},
		"no rport, and a tester's agent": {"OPTIONS", []string{noRPort, sipsak}, nil, 3},
		"the same over TCP":              {"OPTIONS", []string{noRPort, sipsak}, func(x *edge.Exchange) { x.From.Transport = edge.TCP }, 2},
		"no rport, and a random agent":   {"OPTIONS", []string{noRPort, "User-Agent: bvxzrtkq"}, nil, 2},
		"100 to himself":                 {"INVITE", []string{"From: <" + himself + ">;tag=1"}, nil, 2},
		"100 registers":                  {"REGISTER", []string{"From: <" + himself + ">;tag=1"}, nil, 0},
		"101 to himself":                 {"OPTIONS", []string{"From: <sip:101@example.com>;tag=1", "To: <sip:101@example.com>"}, nil, 0},
		"a random agent who is known":    {"OPTIONS", []string{"User-Agent: bvxzrtkq"}, func(x *edge.Exchange) { x.Asked.Good = true }, 0},
		"sipsak, whom we know":           {"OPTIONS", []string{noRPort, sipsak}, func(x *edge.Exchange) { x.From.Remote = netip.MustParseAddrPort("192.0.2.7:5060") }, 0},
		"a scanner, whom we know": {"OPTIONS", []string{"User-Agent: friendly-scanner"}, func(x *edge.Exchange) {
			x.From.Remote = netip.MustParseAddrPort("192.0.2.7:5060")
		}, 10},
	} {
		x := checktest.Exchange(t, checktest.Request(c.method, himself, c.fields...))
		if c.change != nil {
			c.change(x)
		}
		check := New(Config{Spared: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}, checktest.Key)
		if v := checktest.Opinion(check.Inspect(x)); v.Score != c.score || v.Score < 10 && v.Score > 0 && v.Most != 3 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestProducts: what products call themselves is not random, however odd.
func TestProducts(t *testing.T) {
	for _, agent := range []string{"Grandstream", "FreeSWITCH", "CSipSimple", "MicroSIP", "OpenSIPS", "Asterisk", "baresip", "Linphone", "FPBX", "PJSUA", "SJphone", "TRIXBOX",
		"Twinkle", "Telephone", "BroadWorks", "sipgate", "XLite", "Htek", "VoIPphone", "SIPp", "Yealink", "snom", "AVMFRITZBox", "LANCOM", "STARFACE", "Kamailio", "FortiVoice", "AastraLink"} {
		if random([]byte(agent)) {
			t.Errorf("%s is taken for random letters", agent)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 1000 {
		b := make([]byte, 12)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[r.IntN(52)]
		}
		if random(b) {
			found++
		}
	}
	if found < 600 {
		t.Errorf("%d of 1000 random ones are found", found)
	}
}

// TestRandomTags: no tag that a phone makes at random looks like sipvicious.
func TestRandomTags(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000_000 {
		b := make([]byte, 4+r.IntN(13))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if tag := hex.AppendEncode(nil, b); sipvicious(tag) {
			t.Fatalf("%s", tag)
		}
	}
}
