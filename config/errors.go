package config

// Problem is one mistake in a configuration.
type Problem struct {
	File      string // "" for flags
	Line, Col int    // from 1; 0 if the problem has no place in a file
	Path      string // key, "outside.listen[1]", or flag, "--outside"
	Message   string // what is wrong
	Hint      string // what to do about it, "" if there is nothing to add
	Source    string // the line of the file
}

// Errors is every mistake of a configuration, in the order of the file. It is never empty when returned as an error.
type Errors []Problem

// Error tells all problems, each with its line, a caret and a hint.
func (e Errors) Error() string { return "" }
