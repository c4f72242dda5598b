package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// A comparison is how one key of two configurations is compared and carried over.
type comparison struct {
	key   string
	equal func(a, b *Config) bool
	carry func(to, from *Config)
}

// compare makes the comparison of the key whose value field finds.
func compare[T any](key string, field func(*Config) *T) comparison {
	return comparison{key,
		func(a, b *Config) bool { return same(*field(a), *field(b)) },
		func(to, from *Config) { *field(to) = *field(from) }}
}

// same reports whether two values say the same. An empty list says what none says, and a listener does not become another one by where it is written.
func same(a, b any) bool {
	if x, y := reflect.ValueOf(a), reflect.ValueOf(b); x.Kind() == reflect.Slice && x.Len() == 0 {
		return y.Len() == 0
	}
	if x, listeners := a.([]Listen); listeners {
		return slices.EqualFunc(x, b.([]Listen), func(l, o Listen) bool { return l.Transport == o.Transport && l.Addr == o.Addr && l.star == o.star })
	}
	return reflect.DeepEqual(a, b)
}

// comparisons are the keys that Changes looks at, in the order of docs/config.md. A test holds that no field of Config is
// missing here.
var comparisons = []comparison{
	compare("outside.listen", func(c *Config) *[]Listen { return &c.Outside.Listen }),
	compare("outside.advertise", func(c *Config) *string { return &c.Outside.Advertise }),
	compare("outside.proxy_protocol", func(c *Config) *[]netip.Prefix { return &c.Outside.ProxyProtocol }),
	compare("inside.listen", func(c *Config) *[]Listen { return &c.Inside.Listen }),
	compare("inside.sources", func(c *Config) *[]netip.Prefix { return &c.Inside.Sources }),
	compare("inside.names", func(c *Config) *bool { return &c.Inside.Names }),
	compare("upstreams", func(c *Config) *[]Upstream { return &c.Upstreams }),
	compare("peers", func(c *Config) *[]Peer { return &c.Peers }),
	compare("domains", func(c *Config) *[]string { return &c.Domains }),
	compare("registrations.path", func(c *Config) *bool { return &c.Registrations.Path }),
	compare("registrations.keepalive", func(c *Config) *time.Duration { return &c.Registrations.Keepalive }),
	compare("tls", func(c *Config) *[]KeyPair { return &c.TLS.Certificates }),
	compare("tls.client_certificates", func(c *Config) *ClientCertificates { return &c.TLS.ClientCertificates }),
	compare("tls.client_ca", func(c *Config) *Reference { return &c.TLS.ClientCA }),
	compare("topology.hide", func(c *Config) *bool { return &c.Topology.Hide }),
	compare("topology.mask_call_id", func(c *Config) *bool { return &c.Topology.MaskCallID }),
	compare("topology.guard", func(c *Config) *Guard { return &c.Topology.Guard }),
	compare("topology.bodies", func(c *Config) *[]string { return &c.Topology.Bodies }),
	compare("topology.key_file", func(c *Config) *string { return &c.Topology.KeyFile }),
	compare("identity.server", func(c *Config) *string { return &c.Identity.Server }),
	compare("media.relay", func(c *Config) *MediaRelay { return &c.Media.Relay }),
	compare("media.ports", func(c *Config) *Ports { return &c.Media.Ports }),
	compare("media.address", func(c *Config) *netip.Addr { return &c.Media.Address }),
	compare("media.inside_address", func(c *Config) *netip.Addr { return &c.Media.InsideAddress }),
	compare("media.latch", func(c *Config) *Latches { return &c.Media.Latch }),
	compare("media.rtpengine", func(c *Config) *[]netip.AddrPort { return &c.Media.RTPEngine }),
	compare("media.silence.after", func(c *Config) *time.Duration { return &c.Media.Silence.After }),
	compare("media.silence.end", func(c *Config) *bool { return &c.Media.Silence.End }),
	compare("media.journal", func(c *Config) *bool { return &c.Media.Journal }),
	compare("media.packets", func(c *Config) *int { return &c.Media.Packets }),
	compare("media.threads", func(c *Config) *int { return &c.Media.Threads }),
	compare("media.coalesce", func(c *Config) *time.Duration { return &c.Media.Coalesce }),
	compare("access.unknown", func(c *Config) *Methods { return &c.Access.Unknown }),
	compare("access.known", func(c *Config) *Methods { return &c.Access.Known }),
	compare("access.peer", func(c *Config) *Methods { return &c.Access.Peer }),
	compare("access.unify", func(c *Config) *CheckMode { return &c.Access.Unify }),
	compare("access.not_unified", func(c *Config) *[]string { return &c.Access.NotUnified }),
	compare("access.open_inbound", func(c *Config) *[]string { return &c.Access.OpenInbound }),
	compare("headers.source", func(c *Config) *string { return &c.Headers.Source }),
	compare("headers.from_outside.remove", func(c *Config) *[]string { return &c.Headers.Remove }),
	compare("headers.from_outside.allow", func(c *Config) *[]string { return &c.Headers.Allow }),
	compare("headers.to_outside.allow", func(c *Config) *[]string { return &c.Headers.ToOutside }),
	compare("trust.never_ban", func(c *Config) *[]netip.Prefix { return &c.Trust.NeverBan }),
	compare("trust.realm", func(c *Config) *string { return &c.Trust.Realm }),
	compare("trust.challenge", func(c *Config) *CheckMode { return &c.Trust.Challenge }),
	compare("checks", func(c *Config) *Checks { return &c.Checks }),
	compare("bans.first", func(c *Config) *time.Duration { return &c.Bans.First }),
	compare("bans.longest", func(c *Config) *time.Duration { return &c.Bans.Longest }),
	compare("af_xdp.interfaces", func(c *Config) *[]string { return &c.AFXDP.Interfaces }),
	compare("af_xdp.mode", func(c *Config) *AFXDPMode { return &c.AFXDP.Mode }),
	compare("limits.memory", func(c *Config) *int64 { return &c.Limits.Memory }),
	compare("limits.message", func(c *Config) *int { return &c.Limits.Message }),
	compare("limits.headers", func(c *Config) *int { return &c.Limits.Headers }),
	compare("limits.header", func(c *Config) *int { return &c.Limits.Header }),
	compare("limits.uri", func(c *Config) *int { return &c.Limits.URI }),
	compare("limits.vias", func(c *Config) *int { return &c.Limits.Vias }),
	compare("limits.parameters", func(c *Config) *int { return &c.Limits.Parameters }),
	compare("limits.calls", func(c *Config) *int { return &c.Limits.Calls }),
	compare("limits.connections", func(c *Config) *int { return &c.Limits.Connections }),
	compare("limits.connections_per_source", func(c *Config) *int { return &c.Limits.ConnectionsPerSource }),
	compare("timers.t1", func(c *Config) *time.Duration { return &c.Timers.T1 }),
	compare("timers.t2", func(c *Config) *time.Duration { return &c.Timers.T2 }),
	compare("timers.t4", func(c *Config) *time.Duration { return &c.Timers.T4 }),
	compare("timers.c", func(c *Config) *time.Duration { return &c.Timers.C }),
	compare("timers.linger", func(c *Config) *time.Duration { return &c.Timers.Linger }),
	compare("timers.drain", func(c *Config) *time.Duration { return &c.Timers.Drain }),
	compare("state", func(c *Config) *string { return &c.State }),
	compare("admin.http", func(c *Config) *netip.AddrPort { return &c.Admin.HTTP }),
	compare("admin.socket", func(c *Config) *string { return &c.Admin.Socket }),
	compare("log.format", func(c *Config) *LogFormat { return &c.Log.Format }),
	compare("log.level", func(c *Config) *slog.Level { return &c.Log.Level }),
	compare("mode", func(c *Config) *Mode { return &c.Mode }),
}

// Changes names the keys whose values differ between a and b, in the order of docs/config.md: keys with one value
// ("timers.t1") and lists as a whole ("outside.listen"). A key that is left out has its default, so writing a default out
// is no change.
func Changes(a, b *Config) []string {
	var keys []string
	for _, k := range comparisons {
		if !k.equal(a, b) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// Keep returns a copy of c in which keys, named as Changes does, have the values of old. The error is Errors: what the
// values of both together can't mean.
func (c *Config) Keep(old *Config, keys []string) (*Config, error) {
	mixed := *c
	for _, k := range comparisons {
		if slices.Contains(keys, k.key) {
			k.carry(&mixed, old)
		}
	}
	mixed.Outside.Listen = slices.Clone(mixed.Outside.Listen) // check writes to what follows
	mixed.Inside.Listen = slices.Clone(mixed.Inside.Listen)
	mixed.Upstreams = slices.Clone(mixed.Upstreams)
	mixed.Peers = slices.Clone(mixed.Peers)
	if all := mixed.check(); len(all) > 0 {
		return nil, all
	}
	return &mixed, nil
}
