package config

import "testing"

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"ordered", "version: 1\nmode: enforce\n", "version: 1\nmode: enforce\n"},
		{"order", "mode: enforce\nversion: 1", "version: 1\nmode: enforce\n"},
		{"comments move with their key", "# head\n\n# of mode\nmode: enforce # why\n# of version\nversion: 1\n# foot\n",
			"# head\n\n# of version\nversion: 1\n# of mode\nmode: enforce # why\n# foot\n"},
		{"comments within stay within", "mode: enforce\noutside:\n  # one\n  advertise: a.example\n  # two\nversion: 1\n",
			"version: 1\noutside:\n  # one\n  advertise: a.example\n  # two\nmode: enforce\n"},
		{"blanks", "\ufeffversion: 1   \r\n\r\n\r\n\r\nmode:   enforce\r\n\r\n", "version: 1\n\nmode:   enforce\n"},
		{"flow over lines", "domains: [a.example,\n\n\n  b.example]\nversion: 1\n", "version: 1\ndomains: [a.example,\n\n  b.example]\n"},
		{"begin of document", "---\nmode: enforce\nversion: 1\n", "---\nversion: 1\nmode: enforce\n"},
		{"all in braces", "{mode: enforce, version: 1}", "{mode: enforce, version: 1}\n"},
		{"hash in a text", "domains: [\"a.example\"] # \"x\" # y\n", "domains: [\"a.example\"] # \"x\" # y\n"},
	} {
		got, err := Format("test.yaml", []byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got\n%s(%v)\nwant\n%s", c.name, got, err, c.want)
			continue
		}
		if again, err := Format("test.yaml", got); err != nil || string(again) != string(got) {
			t.Errorf("%s: formatted once more it is\n%s(%v)", c.name, again, err)
		}
	}
	if _, err := Format("test.yaml", []byte("mod: enforce")); err == nil {
		t.Error("a file with a mistake was formatted")
	}
}

// FuzzFormat: what is formatted says the same, has the same comments, and is formatted for good.
func FuzzFormat(f *testing.F) {
	f.Add("# head\n\nmode: enforce # a\n# b\nversion: 1\n")
	f.Add("state: \"/a\n\n\n  b\"\nversion: 1")
	f.Add("outside: {\n# in\nadvertise: a.example}\nversion: 1\n...\n# foot")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Format("test.yaml", []byte(text))
		if err != nil {
			return
		}
		a, _ := Parse("test.yaml", []byte(text))
		b, err := Parse("test.yaml", got)
		if err != nil || !sameFile(a, b) {
			t.Fatalf("%q became %q: %v", text, got, err)
		}
		if again, err := Format("test.yaml", got); err != nil || string(again) != string(got) {
			t.Errorf("%q, formatted once more, is %q (%v)", got, again, err)
		}
	})
}
