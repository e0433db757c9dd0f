package smelt.formats.source;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// An archive of a Hugging Face cache folder, whose snapshot links to its blobs. The model is the
/// snapshot; an archive without such links is taken as it is.
final class PackedCache {

  /// Folder above, commit, name in the snapshot.
  private static final Pattern SNAPSHOT = Pattern.compile("((?:.*/)?)snapshots/([^/]+)/(.+)");

  private PackedCache() {}

  /// @param members names are safe and distinct
  static SortedMap<String, Member> resolve(List<Member> members, Listing listing) {
    SortedMap<String, Member> files = new TreeMap<>();
    Map<String, String> links = new TreeMap<>();
    for (Member member : members) {
      switch (member.kind()) {
        case Member.Kind.Plain _, Member.Kind.Deflated _ -> files.put(member.name(), member);
        case Member.Kind.Link(String target) -> links.put(member.name(), target);
      }
    }
    Set<String> snapshots = new TreeSet<>();
    links.forEach((link, target) -> {
      Member blob = files.get(blob(link, target));
      if (blob == null) {
        refuse(link, target, listing);
      } else {
        files.put(link, blob);
        snapshots.add(snapshot(link));
      }
    });
    return snapshots.isEmpty() ? files : only(snapshots, files, listing);
  }

  /// The name of the blob that a link may lead to; empty when it leads elsewhere.
  private static String blob(String link, String target) {
    Matcher snapshot = SNAPSHOT.matcher(link);
    if (!snapshot.matches()) {
      return "";
    }
    long depth = snapshot.group(3).chars().filter(c -> c == '/').count();
    String expected = "../".repeat(Math.toIntExact(depth) + 2) + "blobs/";
    boolean good =
        target.startsWith(expected) && HubCache.isBlob(target.substring(expected.length()));
    return good ? snapshot.group(1) + "blobs/" + target.substring(expected.length()) : "";
  }

  private static String snapshot(String name) {
    Matcher matcher = SNAPSHOT.matcher(name);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(name);
    }
    return matcher.group(1) + "snapshots/" + matcher.group(2) + "/";
  }

  private static SortedMap<String, Member> only(
      Set<String> snapshots, SortedMap<String, Member> files, Listing listing) {
    if (snapshots.size() > 1) {
      listing.refuse(
          String.join(", ", snapshots),
          snapshots.size() + " snapshots",
          "one",
          "pack the snapshot that is meant, following links (tar -h)");
    }
    String folder = snapshots.iterator().next();
    SortedMap<String, Member> inside = new TreeMap<>();
    files.forEach((name, member) -> {
      if (name.startsWith(folder)) {
        inside.put(name.substring(folder.length()), member);
      }
    });
    return inside;
  }

  private static void refuse(String link, String target, Listing listing) {
    listing.refuse(
        link,
        "a symbolic link to '" + target + "'",
        "a file, or a link from a cache's snapshot to a blob in the archive",
        "pack the files themselves (tar -h)");
  }
}
