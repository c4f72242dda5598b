package e2e

import "testing"

// A talker is a real phone, of whatever make, that does what its user does and waits for what its user waits for.
type talker interface {
	name() string
	dial(user string) // begins a call
	answer()          // waits until it rings, and answers
	talking()         // waits until the call is up
	hold()
	resume()
	held()    // waits until the far end has put the call on hold
	resumed() // and has taken it up again
	end()     // hangs up
	ended()   // waits until the far end has
}

func (p *baresip) name() string     { return p.user }
func (p *baresip) dial(user string) { p.do("dial", user) }
func (p *baresip) answer()          { p.expect(p.calls, "CALL_INCOMING"); p.do("accept", "") }
func (p *baresip) talking()         { p.expect(p.calls, "CALL_ESTABLISHED") }
func (p *baresip) hold()            { p.do("hold", ""); p.told("answer") }
func (p *baresip) resume()          { p.do("resume", ""); p.told("answer") }
func (p *baresip) held()            { p.told("offer") }
func (p *baresip) resumed()         { p.told("offer") }
func (p *baresip) end()             { p.do("hangup", ""); p.expect(p.calls, "CALL_CLOSED") }
func (p *baresip) ended()           { p.expect(p.calls, "CALL_CLOSED") }

// told waits for a session description of the far end, an offer or an answer.
func (p *baresip) told(what string) {
	p.t.Helper()
	if got := p.expect(p.calls, "CALL_REMOTE_SDP"); got != what {
		p.t.Errorf("%s: the far end sent an %s, not an %s", p.user, got, what)
	}
}

// converse makes four calls between a and b: each of them calls, each of them hangs up, and in between each holds the other.
func converse(t *testing.T, a, b talker) {
	t.Helper()
	for _, pair := range [][2]talker{{a, b}, {b, a}} {
		for _, ends := range [][2]talker{{a, b}, {b, a}} {
			begin(pair[0], pair[1])
			for _, holds := range [][2]talker{{a, b}, {b, a}} {
				holds[0].hold()
				holds[1].held()
				holds[0].resume()
				holds[1].resumed()
			}
			ends[0].end()
			ends[1].ended()
		}
	}
}

// begin lets a call b, who answers.
func begin(a, b talker) {
	a.dial(b.name())
	b.answer()
	a.talking()
	b.talking()
}
