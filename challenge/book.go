package challenge

import (
	"sync"
	"time"

	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// A Book knows what the platform's challenges look like, for each of its domains.
type Book struct {
	domains []string
	list    []*Domain // one for each of domains, and the last for all others
}

// NewBook makes a Book of a platform with these domains, lower case. realm is its realm, as long as nobody has seen a challenge of it; "": the host that a
// request names. What old, nil or the Book that was in use, has learned is taken over. key must be secret.
func NewBook(domains []string, realm string, key meter.Key, old *Book) *Book {
	b := &Book{domains: domains, list: make([]*Domain, len(domains)+1)}
	for i := range b.list {
		name := ""
		if i < len(domains) {
			name = domains[i]
		}
		d := old.has(name)
		if d == nil {
			d = &Domain{key: key}
		}
		d.mu.Lock()
		d.fallback = fallback(realm)
		d.mu.Unlock()
		b.list[i] = d
	}
	return b
}

// has is what b knows of the domain with that name; "": of all that it does not know by name.
func (b *Book) has(name string) *Domain {
	if b == nil {
		return nil
	}
	for i, d := range b.domains {
		if d == name {
			return b.list[i]
		}
	}
	if name == "" {
		return b.list[len(b.domains)]
	}
	return nil
}

// For is what is known of the domain that a request is for which names host.
func (b *Book) For(host []byte) *Domain {
	for i, d := range b.domains {
		if len(d) == len(host) && sip.Spells(host, d) {
			return b.list[i]
		}
	}
	return b.list[len(b.domains)]
}

// A Domain is what is known of the platform's challenges in one domain. Any number of goroutines use it at once.
type Domain struct {
	First  Pace // of answers to requests without credentials
	Second Pace // of answers to requests with them

	mu       sync.Mutex
	key      meter.Key
	shapes   [2]shape // of challenges to REGISTER, and to other methods
	refusals [2]int   // status with which wrong passwords are refused; 0: nobody has seen one
	fallback *shape
	spare    field
}

// Learn takes note of the challenge in m, a response of the platform to a request that named host. It allocates nothing while challenges look
// like the ones before.
func (d *Domain) Learn(m *sip.Message, host []byte, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shapes[kindFor(m.CSeq.Method)].learn(&d.spare, m, host, at)
}

// LearnRefusal takes note that a wrong password was refused with status. 403 to a call may as well mean that this caller is not to call there: it is believed
// where nothing else was seen.
func (d *Domain) LearnRefusal(method sip.Method, status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := &d.refusals[kindFor(method)]; *one == 0 || status != 403 || method == sip.REGISTER {
		*one = status
	}
}

// Refusal is the status with which wrong passwords are refused.
func (d *Domain) Refusal(method sip.Method) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := kindFor(method)
	if status := d.refusals[k]; status != 0 {
		return status
	}
	_, status := d.shape(k)
	return status
}

// Status is that of challenges to requests with this method.
func (d *Domain) Status(method sip.Method) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, status := d.shape(kindFor(method))
	return status
}

// kindFor is the index of what platforms do in the same way.
func kindFor(method sip.Method) int {
	if method == sip.REGISTER {
		return 0
	}
	return 1
}

// shape is what a challenge of that kind looks like, and its status: as the last one did, else as the last one of the other kind.
func (d *Domain) shape(k int) (*shape, int) {
	usual := [...]int{401, 407}[k]
	switch own, other := &d.shapes[k], &d.shapes[1-k]; {
	case own.status != 0:
		return own, own.status
	case other.status != 0:
		return other, usual
	}
	return d.fallback, usual
}

// A Form says how a challenge is to be written.
type Form struct {
	Method sip.Method // of the request
	Host   []byte     // that it names
	Nonce  []byte     // nil: one that looks like the platform's, drawn by
	Seed   uint64
	At     time.Time
	Stale  bool // stale=true
	Plain  bool // without qop
	Brief  bool // realm and nonce alone, and of several challenges one
}

// A Written is a challenge that was written. It can be used again.
type Written struct {
	Status int
	Fields []sip.Header // valid until the next one is written

	text   []byte
	fields [maxFields]sip.Header
	ends   [maxFields]int
}

// names of the field of a challenge.
func nameFor(status int) string {
	if status == 407 {
		return "Proxy-Authenticate"
	}
	return "WWW-Authenticate"
}

// Write writes a challenge as the platform would.
func (d *Domain) Write(w *Written, form Form) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, status := d.shape(kindFor(form.Method))
	w.Status, w.text = status, w.text[:0]
	fields := s.fields[:s.n]
	if form.Brief {
		fields = fields[s.n-1:] // the algorithm that everybody knows comes last (RFC 8760 §2.4)
	}
	for i := range fields {
		w.text = fields[i].appendTo(w.text, &form, d.key)
		w.ends[i] = len(w.text)
	}
	w.set(len(fields))
}

// Repeat writes the challenges in m, a response of the platform, with stale=true if that is wanted. Other schemes than digest stay as they are.
func (w *Written) Repeat(m *sip.Message, stale bool) {
	w.Status, w.text = m.Status, w.text[:0]
	id, n := sip.FieldWWWAuthenticate, 0
	if m.Status == 407 {
		id = sip.FieldProxyAuthenticate
	}
	for i := m.Find(id); i >= 0 && n < maxFields; i = m.Next(id, i) {
		value := m.Fields[i].Value
		begin := len(w.text)
		for _, c := range value.Of(m.Raw) {
			if c != '\r' && c != '\n' {
				w.text = append(w.text, c)
			}
		}
		if stale && len(value.Of(m.Raw)) > 6 && sip.Spells(value.Of(m.Raw)[:6], "digest") {
			w.text = withStale(w.text, begin, true)
		}
		w.ends[n] = len(w.text)
		n++
	}
	w.set(n)
}

// set makes Fields of the text.
func (w *Written) set(n int) {
	begin := 0
	for i, end := range w.ends[:n] {
		w.fields[i] = sip.Header{Name: nameFor(w.Status), Value: w.text[begin:end]}
		begin = end
	}
	w.Fields = w.fields[:n]
}

// Plain writes no challenge: a refusal with that status.
func (w *Written) Plain(status int) {
	w.Status, w.text = status, w.text[:0]
	w.set(0)
}
