package scanner

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
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
		"a host of RFC 3261":          {"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK7", "scanner.weak", 2},
		"an account that scripts try": {"From: <sip:trunk@203.0.113.9>;tag=1", "scanner.weak", 2},
		"svmap's, without its marks":  {"From: <sip:100@203.0.113.9>;tag=1", "scanner.weak", 2},
		"somewhere else":              {"From: <sip:trunk@203.0.113.99>;tag=1", "", 0},
		"a domain":                    {"From: <sip:trunk@example.com>;tag=1", "", 0},
		"a name that scripts have":    {`From: "MAYET" <sip:1@h>;tag=1`, "scanner.weak", 2},
		"a User-Agent of a letter":    {"User-Agent: x", "scanner.weak", 2},
	} {
		v := checktest.Opinion(New().Inspect(checktest.Exchange(t, checktest.Request("OPTIONS", "sip:203.0.113.9", c.field))))
		if v.Reason != c.reason || v.Score != c.score || (v.Action == edge.Drop) != (c.score == 10) {
			t.Errorf("%s: %+v", name, v)
		}
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
