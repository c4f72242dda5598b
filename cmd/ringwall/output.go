package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// lists are the forms that lists are printed in.
var lists = []string{"table", "json", "csv"}

// An output is the flag for the form that a verb prints in. It is a pflag.Value that takes no word but those it was made for.
type output struct {
	form  string
	forms []string
}

// flag adds the flag to cmd; the first of forms is what it says where nobody sets it.
func (o *output) flag(cmd *cobra.Command, forms ...string) {
	o.form, o.forms = forms[0], forms
	cmd.Flags().VarP(o, "output", "o", "`FORM` of the output: "+o.choice())
}

// choice names the forms: "table, json or csv".
func (o *output) choice() string {
	last := len(o.forms) - 1
	return strings.Join(o.forms[:last], ", ") + " or " + o.forms[last]
}

// String returns the form.
func (o *output) String() string { return o.form }

// Set takes one of the forms and refuses every other word.
func (o *output) Set(form string) error {
	if !slices.Contains(o.forms, form) {
		return fmt.Errorf("want %s", o.choice())
	}
	o.form = form
	return nil
}

// Type names the kind of value for pflag.
func (o *output) Type() string { return "form" }

// print writes list as JSON, or its rows under heading.
func (o *output) print(out io.Writer, list any, heading []string, rows [][]string) error {
	switch o.form {
	case "json":
		return printJSON(out, list)
	case "csv":
		w := csv.NewWriter(out)
		return cmp.Or(w.Write(heading), w.WriteAll(rows), w.Error())
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// moment writes t for people in a table, in their own time, and for programs in UTC.
func (o *output) moment(t time.Time) string {
	if o.form == "csv" {
		return t.UTC().Format(time.RFC3339)
	}
	return t.Local().Format(time.DateTime)
}

// printJSON writes v as JSON for people and programs.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // SIP is full of < and >
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
