package siptest

import (
	"crypto/md5"
	"fmt"
	"strings"
	"sync"
)

// Realm is the realm of a Registrar that asks for digest authentication.
const Realm = "example.com"

// A Registrar is a platform that answers REGISTER by itself and remembers the Contacts. It grants an hour and never lets a
// Contact expire: tests say what happens next.
type Registrar struct {
	*UA
	Leaky     bool // with passwords: tells by 404 which users it does not have
	passwords map[string]string

	mu       sync.Mutex
	contacts map[string][]string // address of record: Contact URIs, oldest first
	paths    map[string]string   // Contact URI: its Path
	change   func(request *Received, reply *Message)
	others   func(request *Received) bool
}

// NewRegistrar makes ua a registrar for every address of record. With passwords (by user name) it asks for digest
// authentication (MD5, no qop; RFC 2617 §3.2.2.1).
func NewRegistrar(ua *UA, passwords map[string]string) *Registrar {
	r := &Registrar{UA: ua, passwords: passwords, contacts: map[string][]string{}, paths: map[string]string{}}
	ua.Handle(r.handle)
	return r
}

// HandleOthers installs f for what is no REGISTER, as UA.Handle does for all.
func (r *Registrar) HandleOthers(f func(request *Received) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others = f
}

func (r *Registrar) handle(m *Received) bool {
	if m.Method() == "REGISTER" {
		return r.register(m)
	}
	r.mu.Lock()
	others := r.others
	r.mu.Unlock()
	return others != nil && others(m)
}

// OnReply installs f, which may alter each reply before it is sent.
func (r *Registrar) OnReply(f func(request *Received, reply *Message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = f
}

// Contacts lists the Contact URIs of an address of record, oldest first.
func (r *Registrar) Contacts(aor string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.contacts[aor]...)
}

// Path is the Path that came with a Contact URI, "" if none did.
func (r *Registrar) Path(contact string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.paths[contact]
}

// register answers a REGISTER (RFC 3261 §10.3).
func (r *Registrar) register(m *Received) bool {
	status := 200
	if r.passwords != nil && !r.Authorized(m) {
		status = 401
		if _, there := r.passwords[User(URI(m.Get("To")))]; r.Leaky && !there {
			status = 404
		}
	}
	aor := URI(m.Get("To"))
	if status == 200 {
		r.store(aor, m)
	}
	r.Reply(m, status, func(reply *Message) {
		if status == 401 {
			reply.Add("WWW-Authenticate", fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=MD5`, Realm, ID()))
		} else if status == 200 {
			for _, c := range r.Contacts(aor) {
				reply.Add("Contact", "<"+c+">;expires=3600")
			}
		}
		r.mu.Lock()
		change := r.change
		r.mu.Unlock()
		if change != nil {
			change(m, reply)
		}
	})
	return true
}

// store notes or removes the Contacts of a REGISTER.
func (r *Registrar) store(aor string, m *Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, contact := range m.All("Contact") {
		uri := URI(contact)
		expires, ok := Param(contact, "expires")
		if !ok {
			expires = m.Get("Expires")
		}
		if contact == "*" {
			r.contacts[aor] = nil
			return
		}
		r.contacts[aor] = without(r.contacts[aor], uri)
		if expires != "0" {
			r.contacts[aor] = append(r.contacts[aor], uri)
			r.paths[uri] = m.Get("Path")
		}
	}
}

func without(list []string, s string) (kept []string) {
	for _, v := range list {
		if v != s {
			kept = append(kept, v)
		}
	}
	return kept
}

// Authorized checks the digest answer of m, be it to a 401 or a 407.
func (r *Registrar) Authorized(m *Received) bool {
	c := m.Get("Authorization")
	if c == "" {
		c = m.Get("Proxy-Authorization")
	}
	user, nonce, uri := digestValue(c, "username"), digestValue(c, "nonce"), digestValue(c, "uri")
	password, ok := r.passwords[user]
	return ok && digestValue(c, "response") == digest(user, Realm, password, nonce, m.Method(), uri)
}

// Authorize is m again (see Again) with the answer to a 401 or 407 with a Digest challenge (MD5, no qop).
func Authorize(m *Message, challenged *Received, user, password string) *Message {
	field, challenge := "Authorization", challenged.Get("WWW-Authenticate")
	if challenge == "" {
		field, challenge = "Proxy-Authorization", challenged.Get("Proxy-Authenticate")
	}
	realm, nonce, uri := digestValue(challenge, "realm"), digestValue(challenge, "nonce"), m.RequestURI()
	response := digest(user, realm, password, nonce, m.Method(), uri)
	return Again(m).Set(field, fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=MD5`,
		user, realm, nonce, uri, response))
}

// digest is the response value of RFC 2617 §3.2.2.1 without qop.
func digest(user, realm, password, nonce, method, uri string) string {
	h := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	return h(h(user+":"+realm+":"+password) + ":" + nonce + ":" + h(method+":"+uri))
}

// digestValue is the value of a parameter of a challenge or of credentials, without its quotes.
func digestValue(field, name string) string {
	_, list, _ := strings.Cut(field, " ")
	for _, part := range splitList(list) {
		if key, value, _ := strings.Cut(part, "="); strings.EqualFold(key, name) {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// MustRegister registers the UA through its Proxy and returns the 200; the test fails if none comes.
func (ua *UA) MustRegister() *Received {
	ua.t.Helper()
	m := ua.Send(ua.Register())
	ok := ua.WaitIn(m.Get("Call-ID"), "200", Deadline)
	if ok == nil {
		ua.t.Fatalf("%s: no 200 to REGISTER; it got:\n%s", ua.User, ua.history())
	}
	return ok
}
