package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// leaves calls do for every field of a section of c that holds a value, with its name in Go.
func leaves(v reflect.Value, name string, do func(name string, leaf reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "File" {
			continue
		}
		where := strings.TrimPrefix(name+"."+f.Name, ".")
		switch v.Field(i).Interface().(type) {
		case netip.AddrPort, netip.Addr, Methods, Ports, Latches, Checks:
			do(where, v.Field(i))
		default:
			if v.Field(i).Kind() == reflect.Struct {
				leaves(v.Field(i), where, do)
			} else {
				do(where, v.Field(i))
			}
		}
	}
}

// disturb gives v another value.
func disturb(v reflect.Value) {
	switch {
	case !v.IsZero():
		v.SetZero()
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case v.Type() == reflect.TypeFor[Checks]():
		v.FieldByName("Lockout").FieldByName("Failures").SetInt(1)
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case v.CanInt():
		v.SetInt(1)
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(loopback))
	default:
		panic("disturb cannot change a " + v.Type().String())
	}
}

// TestChangesSeeEveryField changes one field of Config at a time: Changes tells one key, and Keep takes it back.
func TestChangesSeeEveryField(t *testing.T) {
	seen := map[string]string{}
	leaves(reflect.ValueOf(parsed(t, "")).Elem(), "", func(name string, _ reflect.Value) {
		next := parsed(t, "")
		leaves(reflect.ValueOf(next).Elem(), "", func(other string, leaf reflect.Value) {
			if other == name {
				disturb(leaf)
			}
		})
		keys := Changes(parsed(t, ""), next)
		if len(keys) != 1 {
			t.Errorf("Config.%s changed, Changes says %v: does changes.go know it?", name, keys)
			return
		}
		if before := seen[keys[0]]; before != "" {
			t.Errorf("%s stands for Config.%s and Config.%s", keys[0], before, name)
		}
		seen[keys[0]] = name
		kept, err := next.Keep(parsed(t, ""), keys)
		if err != nil {
			t.Errorf("%s is kept: %v", keys[0], err)
		} else if left := Changes(parsed(t, ""), kept); len(left) > 0 {
			t.Errorf("%s is kept, and still %v differ", keys[0], left)
		}
	})
	if len(seen) != len(comparisons) {
		t.Errorf("%d keys are compared, Config has %d", len(comparisons), len(seen))
	}
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKeepChecks: two files that are right each can be wrong together.
func TestKeepChecks(t *testing.T) {
	old := parsed(t, "outside: {listen: [udp:192.0.2.1:5060]}\ninside: {listen: [udp:10.0.0.1:5070]}\nupstreams: [{uri: \"sip:10.0.0.2\"}]")
	next := parsed(t, "outside: {listen: [udp:192.0.2.1:5062]}\ninside: {listen: [udp:10.0.0.1:5070]}\nupstreams: [{uri: \"sip:192.0.2.1\"}]")
	if _, err := next.Keep(old, []string{"outside.listen"}); err == nil || !strings.Contains(err.Error(), "is ringwall itself") {
		t.Errorf("an upstream that is a kept listener: %v", err)
	}
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want []string
	}{
		{"", "mode: enforce\ntimers: {t1: 500ms, linger: 32s}\naccess: {known: any}", nil},
		{"domains: [a.example]", "# moved\n\ndomains:\n  - a.example", nil},
		{"", "outside: {listen: ['udp:*:5060', 'tcp:*:5060']}\ndomains: []\nmedia: {rtpengine: []}\nupstreams: []", nil},
		{"outside: {listen: ['udp:127.0.0.1:5060']}", "outside: {listen: ['udp:*:5060']}", []string{"outside.listen"}},
		{"domains: [a.example]", "domains: []", []string{"domains"}},
		{"", "timers: {t1: 100ms}", []string{"timers.t1", "timers.linger"}},
		{"", "state: /s/a.db", []string{"topology.key_file", "state"}},
		{"upstreams: [{uri: \"sip:10.0.0.1\"}]", "upstreams: [{uri: \"sip:10.0.0.2\"}]\naccess: {unknown: [OPTIONS]}",
			[]string{"upstreams", "access.unknown"}},
	} {
		if got := Changes(parsed(t, c.a), parsed(t, c.b)); !slices.Equal(got, c.want) {
			t.Errorf("%q to %q: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
