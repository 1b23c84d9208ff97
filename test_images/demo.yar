rule journey_offered {
  meta:
    description = "words of a place, a time and a fee, close together, as in an offer of a journey"
    severity = "notable"
  strings:
    $place = /\b(boat|jetty|checkpoint|border|guide)\b/ nocase
    $time = /\b[0-2][0-9][:.][0-5][0-9]\b/
    $fee = /\b[0-9][0-9.,]{2,9} ?(USD|SGD|THB|IDR|MYR)\b/
  condition:
    filesize < 1MB and for any i in (1..#place): ($fee in (@place[i] - 500..@place[i] + 500) and $time in (@place[i] - 500..@place[i] + 500))
}
