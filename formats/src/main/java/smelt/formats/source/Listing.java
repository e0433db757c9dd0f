package smelt.formats.source;

import java.util.ArrayList;
import java.util.List;
import smelt.formats.BadInputException;
import smelt.formats.Problem;

/// What an archive holds, gathered entry by entry together with all that is wrong with it.
final class Listing {

  /// DeepSeek-V3 has 163 shards; a hundred times that is still a model.
  static final int MAX_MEMBERS = 20_000;

  private static final int MAX_PROBLEMS = 100;

  private final String archive;
  private final long archiveBytes;
  private final List<Member> members = new ArrayList<>();
  private final List<Problem> problems = new ArrayList<>();

  Listing(String archive, long archiveBytes) {
    this.archive = archive;
    this.archiveBytes = archiveBytes;
  }

  String archive() {
    return archive;
  }

  List<Member> members() {
    return members;
  }

  /// Adds a file, if its data lies inside the archive.
  void add(Member member) {
    if (member.offset() < 0
        || member.storedBytes() < 0
        || member.storedBytes() > archiveBytes - member.offset()) {
      String found = member.storedBytes() + " bytes of data from byte " + member.offset() + " on";
      String expected = "data that ends before the archive does, at " + archiveBytes;
      refuse(member.name(), found, expected, "the archive is cut short: get it again");
    }
    members.add(member);
    if (members.size() > MAX_MEMBERS) {
      refuse(
          member.name(),
          "more than " + MAX_MEMBERS + " files",
          "a model's files",
          "name an archive that holds one model");
      throwIfAny();
    }
  }

  void refuse(String entry, String found, String expected, String remedy) {
    String name = entry.length() <= 200 ? entry : entry.substring(0, 200) + "...";
    problems.add(new Problem(archive + ", entry '" + name + "'", found, expected, remedy));
    if (problems.size() == MAX_PROBLEMS) {
      throwIfAny();
    }
  }

  void throwIfAny() {
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
  }
}
