// Package docs carries the pages that the binary brings with it: `ringwall man` shows them.
package docs

import _ "embed" // for the pages

// Config is the page about the configuration file, in Markdown.
//
//go:embed config.md
var Config string
