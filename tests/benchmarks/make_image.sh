#!/bin/bash
# Builds the benchmark image: MBR with NTFS + ext4 + FAT32, tens of thousands of live files, some hundreds deleted,
# and its compressed E01 copy, out of files of the machine it runs on and a folder of test evidence (photographs, documents, artefacts).
# usage: make_image.sh OUTDIR [SIZE_MB=2048]        env: WITH_E01=0 skips the E01; FORENSICS_EVIDENCE names the folder of test evidence,
#                                                   in whose stead make_evidence.py makes some where there is none
# needs (Debian): ntfs-3g mtools dosfstools e2fsprogs fdisk ewf-tools sleuthkit python3; root and /dev/fuse for NTFS
# writes OUTDIR/bench.raw, bench.E01, truth.jsonl (fs, path, bytes, sha256, state) and bench.raw.sha256
set -euo pipefail
OUT=${1:?usage: make_image.sh OUTDIR [SIZE_MB]}; SIZE=${2:-2048}
HERE=$(cd "$(dirname "$0")" && pwd)
W=$(mktemp -d); EV=${FORENSICS_EVIDENCE:-$HERE/../../../shared/evidence}; MNT=$W/mnt; mkdir -p "$OUT" "$MNT" "$W/ext" "$W/fat"
trap 'mountpoint -q "$MNT" && umount "$MNT"; rm -rf "$W"' EXIT
N_MB=$((SIZE*40/100)); E_MB=$((SIZE*33/100)); F_MB=$((SIZE*25/100))
cpx(){ local d=$1; shift; mkdir -p "$d"; for f in "$@"; do [ -e "$f" ] && cp -rL --no-preserve=mode,ownership "$f" "$d/" 2>/dev/null || true; done; }
fill(){ # fill DIR MB PATTERN...: copy real files of this machine, in sorted order, until DIR holds MB megabytes
  python3 - "$@" <<'PY'
import glob, os, shutil, sys
root, budget = sys.argv[1], int(sys.argv[2]) << 20
used = sum(os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(root) for f in fs)
for pattern in sys.argv[3:]:
    for top in sorted(glob.glob(pattern)):
        for d, dirs, files in os.walk(top):
            dirs.sort()
            if len(files) > 5000: continue      # the TSK 4.11 of Debian 12 loses ext4 directories of 17,000 entries
            for f in sorted(files):
                src = os.path.join(d, f)
                if os.path.islink(src) or not os.path.isfile(src): continue
                size = os.path.getsize(src)
                if size > 120 << 20: continue
                if used + size + 4096 > budget: sys.exit()
                dst = os.path.join(root, "fill", os.path.relpath(src, "/"))
                os.makedirs(os.path.dirname(dst), exist_ok=True); shutil.copyfile(src, dst); used += size + 1024
PY
}
if [ -d "$EV" ]; then EV=$(cd "$EV" && pwd); else EV=$W/evidence; python3 "$HERE/make_evidence.py" "$EV"; fi
echo "1/5 NTFS ${N_MB} MiB"
truncate -s ${N_MB}M "$W/ntfs.img"; mkntfs -q -F -L WINDOWS -s 512 -c 4096 -p 2048 -H 255 -S 63 "$W/ntfs.img" >/dev/null 2>&1
ntfs-3g "$W/ntfs.img" "$MNT"; U="$MNT/Users/alice"
cpx "$MNT/Windows" "$EV/artefacts/windows"; cpx "$U/AppData" "$EV/artefacts/browser"; cpx "$U/Documents" "$EV/documents"
cpx "$U/Pictures" "$EV/photos" "$EV/mrz" "$EV/barcodes"; cpx "$U/Downloads" "$EV/yara/targets"
cpx "$U/ToDelete" "$EV/photos" "$EV/documents" /usr/share/doc/bash
fill "$MNT" $((N_MB*85/100)) /usr/lib/python3* "$HOME"/.pyenv/versions/3.1[0-3]*/lib /usr/lib/x86_64-linux-gnu
sync
echo "2/5 ext4 ${E_MB} MiB"
cpx "$W/ext/home/bob" "$EV/artefacts/linux-mac" "$EV/artefacts/mobile" "$EV/documents"; cpx "$W/ext/etc" /etc/passwd /etc/group /etc/hosts
cpx "$W/ext/home/bob/trash" "$EV/photos" "$EV/malformed"
python3 - "$W/ext/home/bob" <<'PY'
import os, random, sqlite3, sys
random.seed(7); home = sys.argv[1]
words = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima".split()
db = sqlite3.connect(f"{home}/chat.db"); db.execute("create table message(id integer primary key, ts integer, sender text, body text)")
db.executemany("insert into message(ts,sender,body) values(?,?,?)", ((1600000000 + i * 37, random.choice(["bob", "carol"]),
               " ".join(random.choices(words, k=random.randint(3, 60)))) for i in range(100000))); db.commit()
db.execute("delete from message where id%10=3"); db.commit(); db.close()
for i in range(8000):
    d = f"{home}/small/{i % 200:03d}"; os.makedirs(d, exist_ok=True)
    open(f"{d}/note_{i:05d}.txt", "wb").write(random.randbytes(random.randint(20, 3000)).hex().encode())
PY
fill "$W/ext" $((E_MB*75/100)) /usr/share/doc /usr/share/man /usr/share/perl /usr/share/zoneinfo /usr/lib/git-core /usr/bin /usr/share
echo "3/5 FAT32 ${F_MB} MiB"
for i in 1 2 3 4; do cpx "$W/fat/DCIM/10${i}CANON" "$EV/photos"; done
cpx "$W/fat/DOCS" "$EV/documents"; cpx "$W/fat/DELETED" "$EV/photos" "$EV/mrz"
fill "$W/fat" $((F_MB*85/100)) /usr/lib/jvm /usr/lib/llvm* "$HOME"/.rustup /usr/lib/gcc /usr/lib
echo "4/5 truth, deletions"
python3 - "$W" "$MNT" > "$OUT/truth.jsonl" <<'PY'
import hashlib, json, os, sys
W, M = sys.argv[1:3]; gone = {"ntfs": "Users/alice/ToDelete/", "ext4": "home/bob/trash/", "fat32": "DELETED/"}
for fs, root in (("ntfs", M), ("ext4", W + "/ext"), ("fat32", W + "/fat")):
    for d, dirs, files in os.walk(root):
        for f in files:
            p = os.path.join(d, f)
            if os.path.islink(p) or not os.path.isfile(p): continue
            h = hashlib.sha256(); n = 0
            with open(p, "rb") as fh:
                while b := fh.read(1 << 20): h.update(b); n += len(b)
            rel = os.path.relpath(p, root)
            print(json.dumps({"fs": fs, "path": "/" + rel, "bytes": n, "sha256": h.hexdigest(),
                              "state": "deleted" if rel.startswith(gone[fs]) else "allocated"}))
PY
rm -rf "$U/ToDelete"; sync; umount "$MNT"; while fuser -s "$W/ntfs.img" 2>/dev/null; do sleep .2; done
truncate -s ${E_MB}M "$W/ext4.img"; mke2fs -q -t ext4 -L LINUXHOME -d "$W/ext" "$W/ext4.img"
(cd "$W/ext" && find home/bob/trash -type f) | sed 's/.*/rm "&"/' > "$W/rm.cmd"; debugfs -w -f "$W/rm.cmd" "$W/ext4.img" >/dev/null 2>&1
truncate -s ${F_MB}M "$W/fat.img"; mkfs.vfat -F 32 -n USBSTICK "$W/fat.img" >/dev/null
export MTOOLS_SKIP_CHECK=1; (cd "$W/fat" && mcopy -s -Q -o -i "$W/fat.img" ./* ::); mdeltree -i "$W/fat.img" ::/DELETED
echo "5/5 assembly"
RAW=$OUT/bench.raw; rm -f "$RAW"; truncate -s ${SIZE}M "$RAW"; s1=2048; s2=$((s1+N_MB*2048)); s3=$((s2+E_MB*2048+2048))
printf 'label: dos\nstart=%d, size=%d, type=7\nstart=%d, size=%d, type=83\nstart=%d, size=%d, type=c\n' $s1 $((N_MB*2048)) $s2 $((E_MB*2048)) $s3 $((F_MB*2048)) | sfdisk -q "$RAW"
dd if="$W/ntfs.img" of="$RAW" bs=1M seek=$((s1/2048)) conv=notrunc,sparse status=none
dd if="$W/ext4.img" of="$RAW" bs=1M seek=$((s2/2048)) conv=notrunc,sparse status=none
dd if="$W/fat.img"  of="$RAW" bs=1M seek=$((s3/2048)) conv=notrunc,sparse status=none
if [ "${WITH_E01:-1}" = 1 ]; then rm -f "$OUT"/bench.E*
  ewfacquire -u -q -t "$OUT/bench" -C BENCH-001 -D "built, not seized" -e make_image.sh -E 001 -N - -m fixed -M physical -f encase6 -c deflate:fast -S 4GiB -b 64 -d sha1,sha256 "$RAW" >/dev/null 2>&1 \
  || ewfacquire -u -q -t "$OUT/bench" -C BENCH-001 -D "built, not seized" -e make_image.sh -E 001 -N - -m fixed -M physical -f encase6 -c fast -S 4GiB -d sha256 "$RAW"; fi
sha256sum "$RAW" > "$OUT/bench.raw.sha256"; wc -l "$OUT/truth.jsonl"; ls -lsh "$OUT"
