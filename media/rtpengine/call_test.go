package rtpengine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const offerText = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"

func offer() Text {
	return Text{SDP: []byte(offerText), From: "a", Between: []string{"outside", "inside"}, Source: netip.MustParseAddr("192.0.2.1"), ICE: "remove", Flags: []string{"strict-source"}}
}

// TestCall: offer, answer, question and end, with what each says.
func TestCall(t *testing.T) {
	r := newRig(t, 1, nil)
	k := r.Call("id")
	done, ch := into()
	k.Offer(offer(), done)
	if o := r.get(ch, 0); o.err != nil || !strings.Contains(o.text, "s=offer") {
		t.Fatalf("%+v", o)
	}
	want := "d3:ICE6:remove7:call-id2:id7:command5:offer9:directionl7:outside6:insidee5:flagsl13:strict-sourcee8:from-tag1:a13:received froml3:IP49:192.0.2.1e" +
		"7:replacel6:origin18:session-connectione3:sdp" + fmt.Sprint(len(offerText)) + ":" + offerText + "8:supportsl10:load limitee"
	if got, _ := r.fakes[0].heard(); got != want {
		t.Errorf("asked\n%q\nwant\n%q", got, want)
	}
	if addr, ok := k.Instance(); !ok || addr != r.fakes[0].addr() || r.Status()[0].Calls != 1 {
		t.Errorf("the call is at %v; %+v", addr, r.Status())
	}
	k.Answer(Text{SDP: []byte(offerText), From: "a", To: "b"}, done)
	if o := r.get(ch, 0); o.err != nil || !strings.Contains(o.text, "s=answer") {
		t.Fatalf("%+v", o)
	}
	r.fakes[0].will(func(string, value) string {
		return "d6:result2:ok4:tagsd1:ad6:mediasld7:streamsld11:last packeti1800000000e5:statsd5:bytesi320e6:errorsi1e7:packetsi2eeeeeeee6:totalsd3:RTPd5:bytesi320e6:errorsi1e7:packetsi2eeee"
	})
	totals := make(chan Totals, 1)
	k.Query(func(t Totals, _ error) { totals <- t })
	got := <-totals
	if got.RTP != (Count{Packets: 2, Bytes: 320, Errors: 1}) || len(got.Parties) != 1 || got.Parties[0] != (Party{Tag: "a", Count: got.RTP, Last: time.Unix(1_800_000_000, 0)}) {
		t.Errorf("%+v", got)
	}
	k.Delete()
	k.Delete()
	r.settle()
	if got := r.fakes[0].commands(); !slices.Equal(got, []string{"offer", "answer", "query", "delete"}) || r.Status()[0].Calls != 0 {
		t.Errorf("asked %v; %+v", got, r.Status())
	}
	k.Offer(offer(), done)
	if o := r.get(ch, 0); o.err != ErrEnded {
		t.Errorf("after the end: %+v", o)
	}
}

// TestLost: a request that is lost is sent again with the same cookie, and one whose answer was lost gets the same answer.
func TestLost(t *testing.T) {
	r := newRig(t, 1, nil)
	f := r.fakes[0]
	f.will(func(command string, v value) string {
		if command == "ping" {
			return well(command, v)
		}
		return ""
	})
	done, ch := into()
	r.Call("id").Offer(offer(), done)
	r.until("the request arrives", func() bool { return len(f.commands()) == 1 })
	f.mu.Lock()
	for cookie := range f.seen { // as if the answer had been lost on its way
		f.seen[cookie] = cookie + " " + well("offer", value(f.last))
	}
	f.mu.Unlock()
	r.pass(r.cfg.Try)
	if o := r.get(ch, 0); o.err != nil {
		t.Error(o.err)
	}
	if _, copies := f.heard(); copies != 1 || len(f.commands()) != 1 {
		t.Errorf("%d copies, %v", copies, f.commands())
	}
}

// TestFailover: a new call goes to the next server if the first one is silent, refuses or is gone; every call is sent at most Tries times to each.
func TestFailover(t *testing.T) {
	for name, answer := range map[string]func(string, value) string{
		"silent": silent,
		"loaded": func(string, value) string { return "d7:message9:too many!6:result10:load limite" },
		"gone":   nil,
	} {
		r := newRig(t, 2, nil)
		bad := slices.IndexFunc(r.fakes, func(f *fake) bool { return f.addr() == r.pick("id", nil).addr })
		if answer == nil {
			_ = r.fakes[bad].conn.Close()
		} else {
			r.fakes[bad].will(answer)
		}
		k := r.Call("id")
		done, ch := into()
		k.Offer(offer(), done)
		if o := r.get(ch, r.cfg.Try); o.err != nil {
			t.Fatalf("%s: %v", name, o.err)
		}
		good := r.fakes[1-bad]
		if addr, ok := k.Instance(); !ok || addr != good.addr() {
			t.Errorf("%s: the call is at %v", name, addr)
		}
		if _, copies := r.fakes[bad].heard(); name == "silent" && copies < r.cfg.Tries-1 {
			t.Errorf("silent: %d copies", copies)
		}
		if name == "silent" {
			r.until("it is told to forget the call", func() bool { return slices.Contains(r.fakes[bad].commands(), "delete") })
		}
		good.will(silent)
		k.Answer(Text{SDP: []byte(offerText), From: "a", To: "b"}, done)
		if o := r.get(ch, r.cfg.Try); o.err != ErrTimeout {
			t.Errorf("%s: an answer moved: %+v", name, o)
		}
	}
}

// TestMove: a call whose server went down begins anew on another one with its next offer, and stays where it is otherwise.
func TestMove(t *testing.T) {
	r := newRig(t, 2, nil)
	k := r.Call("id")
	done, ch := into()
	offered := func() error { k.Offer(offer(), done); return r.get(ch, 0).err }
	if err := offered(); err != nil {
		t.Fatal(err)
	}
	first, _ := k.Instance()
	for range 5 {
		if err := offered(); err != nil {
			t.Fatal(err)
		}
	}
	home := slices.IndexFunc(r.fakes, func(f *fake) bool { return f.addr() == first })
	if n := len(r.fakes[1-home].commands()); n != 0 {
		t.Fatalf("the other server was asked %d times", n)
	}
	_ = r.fakes[home].conn.Close()
	if err := offered(); err != nil {
		t.Fatal(err)
	}
	if addr, _ := k.Instance(); addr == first {
		t.Error("the call stayed at a server that is gone")
	}
	_ = r.fakes[1-home].conn.Close()
	if err := offered(); err != ErrRefused {
		t.Errorf("no server left: %v", err)
	}
}

// TestHysteresis: it takes Fall pings in a row to go down, and Rise to come up.
func TestHysteresis(t *testing.T) {
	r := newRig(t, 1, nil)
	for i, c := range []struct {
		answers bool
		up      bool
	}{
		{true, true}, {false, true}, {false, true}, {true, true}, {false, true}, {false, true}, {false, false},
		{true, false}, {false, false}, {true, false}, {true, true}, {false, true},
	} {
		if c.answers {
			r.fakes[0].will(well)
			r.pass(r.cfg.Ping)
		} else {
			r.fakes[0].will(silent)
			r.pass(r.cfg.Ping)
			r.pass(r.cfg.Try)
		}
		r.pinged()
		if up := r.Status()[0].Up; up != c.up {
			t.Fatalf("step %d: up %v, want %v", i, up, c.up)
		}
	}
	if r.mu.Lock(); !slices.Equal(r.told, []bool{false, true}) {
		t.Errorf("told %v", r.told)
	}
	r.mu.Unlock()
}

// TestDown: with no server up, a new call fails at once.
func TestDown(t *testing.T) {
	r := newRig(t, 1, nil)
	r.instances[0].down = true
	done, ch := into()
	r.Call("id").Offer(offer(), done)
	if o := r.get(ch, 0); o.err != ErrDown {
		t.Errorf("%+v", o)
	}
}

// TestOrder: requests of one call go one after the other, at most maxQueue wait, and an end ends them all.
func TestOrder(t *testing.T) {
	r := newRig(t, 1, nil)
	r.fakes[0].will(silent)
	k := r.Call("id")
	var chans []chan outcome
	for range maxQueue + 2 {
		done, ch := into()
		k.Offer(offer(), done)
		chans = append(chans, ch)
	}
	if o := r.get(chans[maxQueue+1], 0); o.err != ErrBusy {
		t.Errorf("one too many: %+v", o)
	}
	r.until("the first arrives", func() bool { return len(r.fakes[0].commands()) == 1 })
	k.Delete()
	for _, ch := range chans[:maxQueue+1] {
		if o := r.get(ch, 0); o.err != ErrEnded {
			t.Errorf("%+v", o)
		}
	}
	r.until("the end arrives", func() bool { return slices.Equal(r.fakes[0].commands(), []string{"offer", "delete"}) })
}

// TestBound: no more than Waiting requests wait for one server.
func TestBound(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Waiting = 4 })
	r.fakes[0].will(silent)
	var last chan outcome
	for i := range 5 {
		var done func([]byte, error)
		done, last = into()
		r.Call(fmt.Sprint("id", i)).Offer(offer(), done)
	}
	if o := r.get(last, 0); o.err != ErrBusy {
		t.Errorf("%+v", o)
	}
	if n := r.Status()[0].Waiting; n != 4 {
		t.Errorf("%d wait", n)
	}
}

// TestHostile: what is no answer to anything, or none that can be read.
func TestHostile(t *testing.T) {
	r := newRig(t, 1, nil)
	for text, want := range map[string]error{
		"x":                                    ErrAnswer,
		"le":                                   ErrAnswer,
		"d6:result5:maybee":                    ErrAnswer,
		"d6:result2:oke":                       ErrAnswer,
		"d12:error-reason2:no6:result5:errore": Failure{Reason: "no"},
	} {
		r.fakes[0].will(func(string, value) string { return text })
		done, ch := into()
		r.Call("id").Offer(offer(), done)
		if o := r.get(ch, 0); !errors.Is(o.err, want) {
			t.Errorf("%q: %v, want %v", text, o.err, want)
		}
	}
	for _, packet := range []string{"", " ", "x", "0123456789abcdef", "0123456789abcdef d6:result2:oke", strings.Repeat("x", 60000)} {
		r.instances[0].answer([]byte(packet))
	}
}

// TestClose: what waits is told, nothing of the cluster stays.
func TestClose(t *testing.T) {
	r := newRig(t, 2, nil)
	for _, f := range r.fakes {
		f.will(silent)
	}
	done, ch := into()
	r.Call("id").Offer(offer(), done)
	r.Close()
	if o := r.get(ch, 0); o.err != ErrEnded {
		t.Errorf("%+v", o)
	}
	r.Cluster = nil
	c, err := New(Config{Instances: []netip.AddrPort{newFake(t).addr()}, Try: time.Millisecond, Ping: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestSpread: calls spread over all servers, and those of a server that goes down over the others.
func TestSpread(t *testing.T) {
	r := newRig(t, 3, nil)
	at := map[string]*instance{}
	count := map[*instance]int{}
	for i := range 900 {
		id := fmt.Sprint(i)
		at[id] = r.pick(id, nil)
		count[at[id]]++
	}
	for _, in := range r.instances {
		if count[in] < 200 {
			t.Errorf("%d of 900", count[in])
		}
	}
	r.instances[0].down = true
	for id, was := range at {
		if is := r.pick(id, nil); is == r.instances[0] || was != r.instances[0] && is != was {
			t.Fatal("a call moved that had no need to")
		}
	}
}

func TestValidate(t *testing.T) {
	good := netip.MustParseAddrPort("127.0.0.1:2223")
	for _, c := range []Config{
		{}, {Instances: []netip.AddrPort{{}}}, {Instances: []netip.AddrPort{good, good}}, {Instances: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")}},
		{Instances: []netip.AddrPort{good}, Try: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
