package config

import (
	"log/slog"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// schema is the tree of all keys of docs/config.md, bound to where their values go in c. A key of a room that is not
// built yet stands here with its off value (only), empty or refused (later).
func schema(c *Config) reader { return section(sections(c)...) }

// sections are the keys at the left margin, in the order in which Format puts them.
func sections(c *Config) []key {
	return []key{
		key{"version", version},
		key{"outside", section(
			key{"listen", texts(&c.Outside.Listen, parseListen)},
			key{"advertise", value(&c.Outside.Advertise, parseAdvertise)},
			key{"proxy_protocol", texts(&c.Outside.ProxyProtocol, parseBalancer)},
		)},
		key{"inside", section(
			key{"listen", texts(&c.Inside.Listen, parseListen)},
			key{"sources", texts(&c.Inside.Sources, parseSource)},
			key{"names", boolValue(&c.Inside.Names)},
		)},
		key{"upstreams", each(&c.Upstreams, upstream)},
		key{"peers", each(&c.Peers, peer)},
		key{"domains", texts(&c.Domains, parseDomain)},
		key{"registrations", section(
			key{"path", boolValue(&c.Registrations.Path)},
			key{"keepalive", keepalive(&c.Registrations.Keepalive)},
		)},
		key{"tls", certificates(&c.TLS)},
		key{"topology", section(
			key{"hide", boolValue(&c.Topology.Hide)},
			key{"mask_call_id", boolValue(&c.Topology.MaskCallID)},
			key{"key_file", value(&c.Topology.KeyFile, parsePath)},
			key{"guard", choice(&c.Topology.Guard, GuardOff, GuardLog, GuardBlock)},
			key{"bodies", texts(&c.Topology.Bodies, parseBody)},
		)},
		key{"identity", section(key{"server", value(&c.Identity.Server, parseFace)})},
		key{"media", media(&c.Media)},
		key{"trust", section(key{"never_ban", texts(&c.Trust.NeverBan, parseNeverBan)}, key{"realm", value(&c.Trust.Realm, parseRealm)},
			key{"challenge", choice(&c.Trust.Challenge, CheckEnforce, CheckMonitor, CheckOff)})},
		key{"access", access(&c.Access)},
		key{"headers", headers(&c.Headers)},
		key{"checks", checks(&c.Checks)},
		key{"bans", section(
			key{"first", duration(&c.Bans.First, time.Second, 365*24*time.Hour)},
			key{"longest", duration(&c.Bans.Longest, time.Second, 365*24*time.Hour)},
		)},
		key{"gate", section(key{"driver", only("soft")})},
		key{"decoy", section(key{"enabled", only("false")})},
		key{"af_xdp", section(
			key{"interfaces", texts(&c.AFXDP.Interfaces, parseInterface)},
			key{"mode", choice(&c.AFXDP.Mode, AFXDPAuto, AFXDPGeneric)},
		)},
		key{"limits", limits(&c.Limits)},
		key{"timers", timers(&c.Timers)},
		key{"state", value(&c.State, parsePath)},
		key{"admin", section(
			key{"http", value(&c.Admin.HTTP, parseAdmin)},
			key{"socket", value(&c.Admin.Socket, parseSocket)},
		)},
		key{"log", section(key{"format", choice(&c.Log.Format, Text, JSON)}, key{"level", level(&c.Log.Level)})},
		key{"mode", choice(&c.Mode, Enforce, Monitor)},
	}
}

// certificates reads the section tls: one certificate with its key, or a list of them. Client certificates go with the first form and
// with any entry of the list; they are the same for all listeners.
func certificates(t *TLS) reader {
	return func(d *decoder, n *node, path string) {
		one := func(p *KeyPair) reader {
			return func(d *decoder, n *node, path string) {
				section(
					key{"certificate", value(&p.Certificate, parseReference)},
					key{"key", value(&p.Key, parseReference)},
					key{"client_certificates", choice(&t.ClientCertificates, Off, Ask, Require)},
					key{"client_ca", value(&t.ClientCA, parseReference)},
				)(d, n, path)
			}
		}
		if n.kind == list {
			each(&t.Certificates, one)(d, n, path)
			return
		}
		var p KeyPair
		one(&p)(d, n, path)
		if p != (KeyPair{}) {
			t.Certificates = []KeyPair{p}
		}
	}
}

// access reads the section of that name.
func access(a *Access) reader {
	return section(
		key{"unknown", methods(&a.Unknown)},
		key{"known", methods(&a.Known)},
		key{"peer", methods(&a.Peer)},
		key{"unify", unify(&a.Unify)},
		key{"not_unified", texts(&a.NotUnified, parseDomain)},
		key{"open_inbound", texts(&a.OpenInbound, parseDomain)},
	)
}

// unify reads true, false or monitor.
func unify(m *CheckMode) reader {
	return func(d *decoder, n *node, path string) {
		var on bool
		switch {
		case n.kind == text && n.text == string(CheckMonitor):
			*m = CheckMonitor
			return
		case n.kind == text:
			d.report(n.at, path, quoted(n.text)+" is not a choice", "write true, false or monitor")
			return
		}
		boolValue(&on)(d, n, path)
		if *m = CheckOff; on {
			*m = CheckEnforce
		}
	}
}

// limits reads the section of that name.
func limits(l *Limits) reader {
	return section(
		key{"memory", size(&l.Memory, 64<<20, 1<<44, "auto")},
		key{"message", small(&l.Message, minMessage, maxMessage)},
		key{"headers", integer(&l.Headers, minHeaders, sip.MaxFields)},
		key{"header", small(&l.Header, minHeader, sip.MaxValue)},
		key{"uri", small(&l.URI, minURI, sip.MaxURI)},
		key{"vias", integer(&l.Vias, minVias, sip.MaxVias)},
		key{"parameters", integer(&l.Parameters, minParameters, sip.MaxParams)},
		key{"calls", integer(&l.Calls, 1, 1_000_000)},
		key{"connections", func(d *decoder, n *node, path string) {
			if d.is(n, path, number, text) && n.text != "auto" {
				integer(&l.Connections, 16, 1_000_000)(d, n, path)
			} else {
				l.Connections = 0
			}
		}},
		key{"connections_per_source", integer(&l.ConnectionsPerSource, 1, 100_000)},
	)
}

// Bounds of limits.message: RFC 3261 §18.1.1 wants 65,535 bytes to be receivable; less than 2 KiB breaks ordinary calls.
const (
	minMessage = 2 << 10
	maxMessage = 64 << 10
)

// Less than this of one thing breaks ordinary calls. The parser's own limits are the most.
const (
	minHeaders    = 16
	minHeader     = 512
	minURI        = 256
	minVias       = 4
	minParameters = 8
)

// timers reads the section of that name.
func timers(t *Timers) reader {
	return section(
		key{"t1", duration(&t.T1, time.Millisecond, 10*time.Second)},
		key{"t2", duration(&t.T2, time.Millisecond, time.Minute)},
		key{"t4", duration(&t.T4, time.Millisecond, time.Minute)},
		key{"c", duration(&t.C, time.Second, 24*time.Hour)},
		key{"linger", duration(&t.Linger, time.Millisecond, 10*time.Minute)},
		key{"drain", duration(&t.Drain, 0, time.Hour)},
	)
}

// keepalive reads the interval of keep-alives to UDP bindings; NATs forget a binding within minutes, 0 means none.
func keepalive(dst *time.Duration) reader {
	return func(d *decoder, n *node, path string) {
		was := len(d.problems)
		var v time.Duration
		duration(&v, 0, 10*time.Minute)(d, n, path)
		if len(d.problems) > was {
			return
		}
		if v > 0 && v < time.Second {
			d.report(n.at, path, n.text+" is less than 1s", "0s means none; 25s suits most NATs")
			return
		}
		*dst = v
	}
}

// version accepts the only version of the file format there is.
func version(d *decoder, n *node, path string) {
	if d.is(n, path, number) && n.text != "1" {
		d.report(n.at, path, "this ringwall reads version 1 of the file, not "+n.text, "write version: 1")
	}
}

// upstream reads one entry of upstreams.
func upstream(u *Upstream) reader {
	u.Weight, u.Priority = 1, 1
	return func(d *decoder, n *node, path string) {
		section(
			key{"uri", upstreamURI(u)},
			key{"weight", integer(&u.Weight, 1, maxWeight)},
			key{"priority", integer(&u.Priority, 1, maxPriority)},
			key{"ca", value(&u.CA, parseReference)},
			key{"certificate", value(&u.Own.Certificate, parseReference)},
			key{"key", value(&u.Own.Key, parseReference)},
			key{"large", large(&u.Large)},
		)(d, n, path)
		if _, set := d.places[path+".uri"]; !set && n.kind == mapping {
			d.report(n.at, path, "has no uri", `write {uri: "sip:10.0.0.10:5060"}`)
		}
	}
}

// Bounds of the weight and priority of an upstream.
const maxWeight, maxPriority = 100, 100

// upstreamURI reads the URI of an upstream, wherever in the entry it stands.
func upstreamURI(u *Upstream) reader {
	return func(d *decoder, n *node, path string) {
		read := *u
		value(&read, parseUpstream)(d, n, path)
		u.URI, u.Host, u.Port, u.Transport, u.Named = read.URI, read.Host, read.Port, read.Transport, read.Named
	}
}

// methods reads "any" or a list of methods.
func methods(m *Methods) reader {
	return func(d *decoder, n *node, path string) {
		if n.kind == text && n.text == "any" {
			*m = Methods{Any: true}
			return
		}
		if n.kind != list {
			if n.kind == text {
				d.report(n.at, path, "wants any or a list of methods, not "+quoted(n.text), "write any or [REGISTER, INVITE]")
			} else {
				d.is(n, path, list)
			}
			return
		}
		*m = Methods{}
		texts(&m.List, parseMethod)(d, n, path)
		for i, one := range m.List {
			for _, before := range m.List[:i] {
				if one == before && one != sip.MethodOther {
					d.report(n.items[i].at, path, one.String()+" stands twice", "keep one of the two")
					break
				}
			}
		}
	}
}

// level reads a log level.
func level(dst *slog.Level) reader {
	names := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return func(d *decoder, n *node, path string) {
		var name string
		choice(&name, "debug", "info", "warn", "error")(d, n, path)
		if l, found := names[name]; found {
			*dst = l
		}
	}
}
