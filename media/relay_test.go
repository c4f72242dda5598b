package media

import (
	"testing"
)

func TestRelay(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	if c.Port(Caller).Port()%2 != 0 || c.Port(Callee).Port()%2 != 0 {
		t.Errorf("RTP ports %v %v: want even ones", c.Port(Caller), c.Port(Callee))
	}
	for range 10 {
		c.both(t)
	}
	st := c.Stats(Caller)
	if st.Packets != 10 || st.Sent != 10 || st.Bytes != 10*(rtpHeader+14) || st.Source != c.phone.addr() || st.Sending != c.phone.addr() {
		t.Errorf("figures %+v", st)
	}
}
