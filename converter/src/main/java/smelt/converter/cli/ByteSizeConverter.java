package smelt.converter.cli;

import picocli.CommandLine;
import smelt.converter.ByteSize;

/// Sizes on the command line: `--memory 8G`. All units are powers of 1024.
final class ByteSizeConverter implements CommandLine.ITypeConverter<Long> {

  @Override
  public Long convert(String text) {
    return ByteSize.parse(text)
        .orElseThrow(() ->
            new CommandLine.TypeConversionException("'" + text + "' is not " + ByteSize.EXPECTED));
  }
}
