package image

import (
	"flag"
	"fmt"
	"strings"
)

// Command is `lab image`: it writes an image from files named on the command line.
func Command(args []string) error {
	flags := flag.NewFlagSet("lab image", flag.ContinueOnError)
	reference := flags.String("reference", "", "the image's full name")
	output := flags.String("output", "", "the archive to write")
	entrypoint := flags.String("entrypoint", "", "the program to start, a path in the image")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *reference == "" || *output == "" || *entrypoint == "" {
		return fmt.Errorf("--reference, --output and --entrypoint are needed")
	}
	image := Image{Reference: *reference, Entrypoint: []string{*entrypoint}, Files: map[string]string{}}
	for _, argument := range flags.Args() {
		inside, source, found := strings.Cut(argument, "=")
		if !found {
			return fmt.Errorf("`%s` is not PATH_IN_IMAGE=FILE", argument)
		}
		image.Files[inside] = source
	}
	return image.Write(*output)
}
