//go:build tools

// Package gear pins what tests/gear/install builds with Go: h2spec's own release names no
// versions of what it imports, so without this every machine would build another program.
package gear

import _ "github.com/summerwind/h2spec/cmd/h2spec"
