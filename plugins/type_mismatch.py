"""Files whose content is of another type than their extension says.

Hiding a picture as `report.dll`, or a program as `holiday.jpg`, takes one rename. What an extension may hold is kept generous: a
mismatch that every computer is full of (`text/plain` under anything, a ZIP as an office document) is none here.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from forensics.plugin import File, Finding, Level, extractor

# What says nothing: libmagic's answer for plain text and for what it does not know, and magics of so few bytes that chance meets them.
GENERIC = (
    "text/plain",
    "application/octet-stream",
    "application/x-empty",
    "inode/*",
    "multipart/appledouble",  # macOS writes a "._photo.jpg" beside every photo.jpg on a foreign file system
    "image/x-tga",
    "image/x-award-bioslogo*",
    "audio/x-mod",
    "audio/x-mp4a-latm",
    "application/x-dbf",
    "application/x-gdbm",
    "application/x-terminfo*",
)
TEXT = (
    "text/* message/* application/json application/x-ndjson application/javascript application/x-javascript application/xml"
    " application/*+xml image/svg+xml application/csv application/x-*ini* application/x-setupscript application/x-mswinurl"
    " application/pgp* application/x-bplist application/postscript application/x-subrip application/x-tex*"
)
ZIP = "application/zip application/x-zip* application/java-archive application/vnd.android.package-archive application/epub+zip"
OOXML = "application/vnd.openxmlformats* application/vnd.ms-*.12 application/vnd.ms-visio.*"
ODF = "application/vnd.oasis.opendocument*"
OLE = "application/CDFV2* application/x-ole-storage application/vnd.ms-office application/encrypted application/x-msi"
OFFICE = f"application/msword application/vnd.ms-* application/vnd.visio {OLE} {OOXML} {ODF} application/zip text/* application/xml"
PE = "application/x-dosexec application/vnd.microsoft.portable-executable application/x-msdownload"
ELF = "application/x-sharedlib application/x-executable application/x-pie-executable application/x-object application/x-coredump"
MEDIA = "video/* audio/* application/ogg application/x-matroska application/vnd.rn-realmedia application/mxf application/vnd.ms-asf"
GZIP = "application/gzip application/x-gzip"
SQLITE = ("application/vnd.sqlite3", "application/x-sqlite3")

# Class, extensions, MIME patterns of what they may hold.
KNOWN = (
    ("picture", "jpg jpeg jpe jfif", "image/jpeg"),
    ("picture", "png apng", "image/png image/apng"),
    ("picture", "gif", "image/gif"),
    ("picture", "bmp dib", "image/bmp image/x-ms-bmp"),
    ("picture", "tif tiff", "image/tiff"),
    ("picture", "webp", "image/webp"),
    ("picture", "heic heif hif avif", "image/hei* image/avif"),
    ("picture", "jp2 j2k jpx jpf", "image/jp* image/x-jp*"),
    ("picture", "jxl", "image/jxl"),
    ("picture", "ico cur", "image/vnd.microsoft.icon image/x-icon image/x-win-bitmap image/png image/bmp image/x-ms-bmp"),
    ("picture", "psd psb", "image/vnd.adobe.photoshop image/x-photoshop"),
    ("picture", "xcf", "image/x-xcf"),
    ("picture", "dng nef nrw arw sr2 cr2 crw pef orf rw2 srw raf 3fr", "image/*"),
    ("picture", "cr3", "image/* video/*"),
    ("picture", "emf wmf", "image/* application/x-msmetafile"),
    ("picture", "svg", f"{TEXT}"),
    ("picture", "svgz", f"{GZIP} {TEXT}"),
    ("picture", "eps", f"image/* {TEXT}"),
    ("video", "mp4 m4v mov qt 3gp 3g2 avi divx mkv webm wmv asf flv f4v mpg mpeg mpe m2v vob m2ts ogv rm rmvb mxf", MEDIA),
    ("audio", "mp3 m4a m4b m4r aac wav flac ogg oga opus wma amr awb aif aiff aifc mid midi ac3 caf mka ra 3ga", MEDIA),
    ("document", "pdf", "application/pdf"),
    ("document", "doc dot docx docm dotx dotm", f"{OFFICE}"),
    ("document", "xls xlt xla xlsx xlsm xltx xltm xlsb xlam", f"{OFFICE}"),
    ("document", "ppt pps pot pptx pptm ppsx ppsm potx potm", f"{OFFICE}"),
    ("document", "vsd vsdx vsdm vst pub mpp", f"{OFFICE}"),
    ("document", "odt ods odp odg odf odb ott ots otp", f"{ODF} application/zip"),
    ("document", "rtf", "text/rtf application/rtf"),
    ("document", "epub", ZIP),
    ("document", "xps oxps", f"{ZIP} {OOXML} application/vnd.ms-xpsdocument application/oxps"),
    ("document", "djvu djv", "image/vnd.djvu*"),
    ("document", "msg", f"{OLE} application/vnd.ms-outlook"),
    ("document", "ps", TEXT),
    ("mail store", "pst ost", "application/vnd.ms-outlook*"),
    ("database", "mdb accdb", "application/x-msaccess application/vnd.ms-access application/msaccess"),
    ("database", "sqlite sqlite3 db3", " ".join(SQLITE)),
    ("archive", "zip", f"{ZIP} {OOXML} {ODF} application/vnd.google-earth.kmz"),
    ("archive", "kmz", f"{ZIP} application/vnd.google-earth.kmz"),
    ("archive", "cbz ipa xpi whl nupkg vsix appx msix", f"{ZIP} {OOXML}"),
    ("archive", "7z", "application/x-7z-compressed"),
    ("archive", "rar cbr", f"application/x-rar* application/vnd.rar {ZIP}"),
    ("archive", "tar", "application/x-tar application/x-gtar application/x-ustar"),
    ("archive", "gz tgz", GZIP),
    ("archive", "bz2 tbz2", "application/x-bzip2 application/bzip2"),
    ("archive", "xz txz", "application/x-xz"),
    ("archive", "lzma", "application/x-lzma application/x-xz"),
    ("archive", "zst", "application/zstd application/x-zstd"),
    ("archive", "lz4", "application/x-lz4"),
    ("archive", "cab", "application/vnd.ms-cab-compressed application/x-cab* application/x-installshield"),
    ("archive", "lzh lha arj", "application/x-lzh* application/x-lha application/x-arj"),
    ("archive", "iso", "application/x-iso9660-image application/x-udf* application/x-*-rom"),
    ("archive", "deb", "application/vnd.debian.binary-package application/x-debian-package application/x-archive"),
    ("archive", "rpm", "application/x-rpm"),
    ("program", "jar war ear apk aar xapk aab", ZIP),
    ("program", "exe dll sys ocx scr cpl drv efi mui ax", PE),
    ("program", "msi msp mst", f"{OLE} application/msword application/vnd.ms-*"),
    ("program", "so", f"{ELF} text/*"),
    ("program", "ko", ELF),
    ("program", "dylib", "application/x-mach-binary"),
    ("program", "class", "application/x-java-applet application/java-vm application/x-java"),
    ("program", "dex", "application/x-dex*"),
    ("program", "swf", "application/x-shockwave-flash application/vnd.adobe.flash.movie"),
    ("program", "lnk", "application/x-ms-shortcut"),
    ("program", "bat cmd ps1 psm1 vbs vbe wsf", TEXT),
    ("text", "txt log csv tsv md rst tex ini cfg conf inf reg properties toml yaml yml", TEXT),
    ("text", "json geojson xml xsl xsd html htm xhtml mht mhtml css js mjs jsx kml gpx rss", TEXT),
    ("text", "py rb php java kt swift go rs c h cc cpp hpp cs sql sh bash gradle", TEXT),
    ("text", "eml emlx ics vcf vcard srt vtt url", TEXT),
    ("text", "plist", TEXT),
    ("font", "ttf ttc otf woff woff2", "font/* application/font* application/vnd.ms-opentype application/x-font*"),
    ("system file", "evtx", "application/x-ms-evtx application/x-evtx"),
    ("network capture", "pcap pcapng", "application/vnd.tcpdump.pcap application/x-pcap*"),
    ("torrent", "torrent", "application/x-bittorrent"),
)
BY_EXTENSION = {extension: (kind, tuple(mimes.split())) for kind, extensions, mimes in KNOWN for extension in extensions.split()}

# The recycle bin notes in a small `$IABCDEF.jpg` where the file that is now `$RABCDEF.jpg` came from.
RECYCLED = re.compile(r"\$I[A-Z0-9]{6}\.[^.]+", re.IGNORECASE)

# Classes of content that are worth hiding: found under an extension of another class, they are notable.
HIDDEN = (
    ("picture", "image/*"),
    ("video", "video/*"),
    ("program", f"{PE} {ELF} application/x-mach-binary application/x-java-applet application/x-dex* application/java-archive"),
    ("program", "application/vnd.android.package-archive application/x-msi application/x-ms-shortcut application/x-shockwave-flash"),
    ("program", "text/x-shellscript"),
    (
        "archive",
        f"application/zip {GZIP} application/x-7z-compressed application/x-rar* application/vnd.rar application/x-tar application/x-bzip2"
        " application/x-xz application/zstd application/vnd.ms-cab-compressed application/x-iso9660-image",
    ),
)


@extractor(version="1.0", needs=("name",))
def type_mismatch(file: File) -> Iterator[Finding]:
    """Files whose content is of another type than their extension says.

    Says nothing of extensions that it does not know, of empty and of unidentified content, and of plain text.
    """
    _, dot, extension = file.name.casefold().rpartition(".")
    known = BY_EXTENSION.get(extension) if dot else None
    if known is None or RECYCLED.fullmatch(file.name) or _fits(file.mime, GENERIC):
        return
    kind, expected = known
    if _fits(file.mime, expected):
        return
    if file.mime in SQLITE and kind not in ("picture", "video", "audio", "document"):
        return  # programs give their databases whatever name they like
    hidden = next((each for each, mimes in HIDDEN if _fits(file.mime, tuple(mimes.split()))), "")
    level: Level = "notable" if hidden and hidden != kind else "info"
    said = f"a {kind}" if kind[0] not in "aeiou" else f"an {kind}"
    found = f"{file.mime} ({hidden})" if level == "notable" else file.mime
    yield Finding(
        kind="type-mismatch",
        summary=f"Named as {said} (.{extension}), but the content is {found}",
        data={"extension": extension, "expected": [*expected], "found": file.mime},
        level=level,
    )


def _fits(mime: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(mime, pattern) for pattern in patterns)
