package challenge

import (
	"bytes"
	"time"

	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	maxFields = 4   // of one challenge (RFC 8760: one for each algorithm)
	maxField  = 512 // bytes of one
)

// A shape is what the challenges of a platform look like: their status and their fields, in order.
type shape struct {
	status int // 0: none was seen
	fields [maxFields]field
	n      int
}

// A field is one challenge with holes in it.
type field struct {
	text      []byte
	holes     [4]hole
	n         int // holes
	realm     []byte
	algorithm []byte
	nonces    samples
	opaques   samples
}

// A hole is a place in text where something else stands each time.
type hole struct {
	at   int
	what filling
}

type filling uint8

const (
	aNonce filling = iota
	anOpaque
	theHost // the realm is the host that the request names
)

// fallback is what is known of a platform whose challenges nobody has seen yet: its realm at most.
func fallback(realm string) *shape {
	s := &shape{n: 1}
	text := `Digest realm="` + realm + `", nonce="", algorithm=MD5, qop="auth"`
	f := &s.fields[0]
	f.text, f.realm, f.algorithm = []byte(text), []byte(realm), []byte("MD5")
	if realm == "" {
		f.put(len(`Digest realm="`), theHost)
	}
	f.put(len(text)-len(`", algorithm=MD5, qop="auth"`), aNonce)
	return s
}

func (f *field) put(at int, what filling) {
	f.holes[f.n] = hole{at, what}
	f.n++
}

// learn takes over the challenges in m, a response of the platform to a request that named host. What is no digest, or larger than any
// platform's, is left out. spare is for its own use.
func (s *shape) learn(spare *field, m *sip.Message, host []byte, at time.Time) {
	id := sip.FieldWWWAuthenticate
	if m.Status == 407 {
		id = sip.FieldProxyAuthenticate
	}
	n := 0
	for i := m.Find(id); i >= 0 && n < maxFields; i = m.Next(id, i) {
		value := m.Fields[i].Value
		d, ok, err := sip.ParseDigest(m.Raw, value)
		if !ok || err != nil || !d.Nonce.Present() || value.Len() > maxField || bytes.IndexByte(value.Of(m.Raw), '\r') >= 0 {
			continue
		}
		f := &s.fields[n]
		spare.read(m.Raw, value, &d, s.follows(f, d.Realm.Of(m.Raw), host))
		if !bytes.Equal(f.text, spare.text) || f.n != spare.n || f.holes != spare.holes {
			f.text, f.holes, f.n = append(f.text[:0], spare.text...), spare.holes, spare.n
			f.realm = append(f.realm[:0], spare.realm...)
			f.algorithm = append(f.algorithm[:0], spare.algorithm...)
			f.nonces.forget()
			f.opaques.forget()
		}
		f.nonces.add(d.Nonce.Of(m.Raw), at)
		f.opaques.add(d.Opaque.Of(m.Raw), at)
		n++
	}
	if n > 0 {
		s.status, s.n = m.Status, n
	}
}

// follows reports whether the realm of such challenges is the host that was asked for, whichever it is: it is that host, and it was another one, or
// that other host, before.
func (s *shape) follows(f *field, realm, host []byte) bool {
	return s.status != 0 && len(host) > 0 && sip.EqualFold(realm, host) && !bytes.Equal(f.realm, realm)
}

// read makes f the challenge at value, without what changes, and without a stale=true.
func (f *field) read(raw []byte, value sip.Span, d *sip.Digest, follows bool) {
	*f = field{text: f.text[:0], realm: append(f.realm[:0], d.Realm.Of(raw)...), algorithm: append(f.algorithm[:0], d.Algorithm.Of(raw)...)}
	type gap struct {
		span sip.Span
		what filling
	}
	var gaps [3]gap
	n := 0
	for _, g := range [...]gap{{d.Nonce, aNonce}, {d.Opaque, anOpaque}, {d.Realm, theHost}} {
		if !g.span.Present() || g.what != aNonce && g.span.Len() == 0 || g.what == theHost && !follows {
			continue
		}
		i := n
		for ; i > 0 && gaps[i-1].span.Start > g.span.Start; i-- {
			gaps[i] = gaps[i-1]
		}
		gaps[i] = g
		n++
	}
	if follows {
		f.realm = f.realm[:0]
	}
	at := value.Start
	for _, g := range gaps[:n] {
		f.text = append(f.text, raw[at:g.span.Start]...)
		f.put(len(f.text), g.what)
		at = g.span.End
	}
	f.text = append(f.text, raw[at:value.End]...)
	f.cutStale()
}

// cutStale takes a stale=true out of f, and keeps the holes in place.
func (f *field) cutStale() {
	from, to := findParam(f.text, "stale")
	if from < 0 || !bytes.Contains(bytes.ToLower(f.text[from:to]), []byte("true")) {
		return
	}
	f.text = append(f.text[:from], f.text[to:]...)
	for i := range f.holes[:f.n] {
		if h := &f.holes[i]; h.at >= to {
			h.at -= to - from
		}
	}
}

// findParam returns where in a challenge the parameter with that name stands, with the comma that parts it from others; -1 if it is not there.
func findParam(value []byte, name string) (from, to int) {
	start := len("Digest")
	first := true
	for start < len(value) {
		end := endOfParam(value, start)
		key, _, _ := bytes.Cut(value[start:end], []byte{'='})
		switch found := sip.Spells(bytes.TrimSpace(key), name); {
		case found && first:
			for end < len(value) && (value[end] == ',' || value[end] == ' ') {
				end++
			}
			return start + len(key) - len(bytes.TrimLeft(key, " ")), end
		case found:
			return start - 1, end
		}
		start, first = end+1, false
	}
	return -1, -1
}

// endOfParam is where the comma after the parameter at value[i] stands, or the end.
func endOfParam(value []byte, i int) int {
	for quoted := false; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(value)
}

// appendTo appends the challenge that f asks for.
func (f *field) appendTo(dst []byte, form *Form, key meter.Key) []byte {
	if form.Brief {
		dst = append(append(append(dst, `Digest realm="`...), f.realmFor(form)...), `", nonce="`...)
		if dst = append(f.nonce(dst, form, key), '"'); len(f.algorithm) > 0 && !sip.Spells(f.algorithm, "md5") {
			dst = append(append(dst, ", algorithm="...), f.algorithm...)
		}
		return withStale(dst, 0, form.Stale)
	}
	begin, at := len(dst), 0
	for _, h := range f.holes[:f.n] {
		dst = append(dst, f.text[at:h.at]...)
		at = h.at
		switch h.what {
		case aNonce:
			dst = f.nonce(dst, form, key)
		case anOpaque:
			dst = f.opaques.append(dst, key, form.Seed+1, form.At)
		case theHost:
			dst = append(dst, form.Host...)
		}
	}
	dst = append(dst, f.text[at:]...)
	if form.Plain {
		if from, to := findParam(dst[begin:], "qop"); from >= 0 {
			dst = append(dst[:begin+from], dst[begin+to:]...)
		}
	}
	return withStale(dst, begin, form.Stale)
}

func (f *field) realmFor(form *Form) []byte {
	if len(f.realm) == 0 {
		return form.Host
	}
	return f.realm
}

func (f *field) nonce(dst []byte, form *Form, key meter.Key) []byte {
	if len(form.Nonce) > 0 {
		return append(dst, form.Nonce...)
	}
	return f.nonces.append(dst, key, form.Seed, form.At)
}

// withStale gives the challenge at dst[begin:] a stale=true as its last parameter, and takes any other stale from it, if that is wanted.
func withStale(dst []byte, begin int, stale bool) []byte {
	if !stale {
		return dst
	}
	if from, to := findParam(dst[begin:], "stale"); from >= 0 {
		dst = append(dst[:begin+from], dst[begin+to:]...)
	}
	return append(dst, ", stale=true"...)
}

// AppendStale appends a challenge with stale=true: it tells a phone that its nonce was the trouble, and its password was not.
func AppendStale(dst, value []byte) []byte {
	begin := len(dst)
	return withStale(append(dst, value...), begin, true)
}
