// 한국어로 보는 페이지.

export default {
  languageName: "한국어",
  languageChoice: "언어",
  skip: "본문으로 건너뛰기",
  sections: "메뉴",
  home: "embedkit 첫 화면으로",

  // 화면
  searchTitle: "무엇이 무엇과 가까울까요?",
  searchLead: "항목 {tokens}개가 {size}차원 벡터로 들어 있습니다. 이름을 입력하면 가까운 항목을 보여 드립니다.",
  searchLeadKeys:
    "항목 {tokens}개와 사용자 {keys}명이 {size}차원 벡터로 들어 있습니다. 이름을 입력하면 가까운 항목을 보여 드립니다.",
  recommend: "추천",
  similar: "이웃",
  analogy: "유추",
  map: "지도",

  // 검색
  search: "검색",
  searchHint: "이름이나 ID를 입력하세요",
  items: "항목",
  users: "사용자",
  found: { other: "{count}개를 찾았습니다. 화살표 키로 고르세요." },
  noneFound: "일치하는 이름이 없습니다.",
  suggestions: "이렇게 시작해 보세요",
  frequentItems: "자주 나오는 항목",
  someUsers: "기록이 많은 사용자",
  timesSeen: { other: "{count}회 등장" },
  historySize: { other: "기록 {count}개" },
  model: "모델",
  version: "버전",
  trainer: "학습 방법",
  vectorSize: "벡터 크기",

  // 이웃
  similarTitle: "이웃",
  similarLead: "벡터가 같은 쪽을 가리키는 항목입니다. 점수가 1이면 방향이 같고, 0이면 관련이 없습니다.",
  similarPick: "항목",
  similarTo: "{name}의 이웃",
  onMap: "지도에서 보기",
  recommendFrom: "이 항목으로 추천받기",

  // 유추
  analogyTitle: "유추",
  analogyLead: "A와 B가 짝이라면 C의 짝은 무엇일까요? 세 항목을 고르세요.",
  analogyA: "A",
  analogyB: "A의 짝 B",
  analogyC: "짝을 찾을 C",
  analogyOf: "{a} : {b} = {c} : …",
  analogyEmpty: "A, B, C를 고르면 여기에 답이 나옵니다.",

  // 추천
  recommendTitle: "추천",
  recommendLead: "사용자를 고르거나 빈 기록으로 시작하세요. 항목을 넣거나 빼면 추천이 바로 바뀝니다.",
  recommendPick: "사용자",
  recommendFor: "{name} 님에게 추천",
  recommendFromHistory: "이 기록에 따른 추천",
  history: "기록",
  historyOf: { other: "{count}개" },
  historyEmpty: "기록이 비어 있습니다. 항목을 넣거나 사용자를 고르세요.",
  historyAll: "{count}개 모두 보기",
  historyAdd: "항목 넣기",
  historyDrop: "{name} 빼기",
  historyDropped: "{name} 항목을 뺐습니다.",
  historyAdded: "{name} 항목을 넣었습니다.",
  historyNew: "추가됨",
  historyReset: "원래 기록으로 되돌리기",
  historyEdited: "기록을 고쳤습니다. 아래 항목만으로 점수를 매깁니다.",
  addToHistory: "{name} 항목을 기록에 넣기",
  seen: "기록에 있는 항목도 추천",
  fallback: "이 사용자에 대해 알려진 것이 없어 가장 자주 나오는 항목을 보여 드립니다.",
  unexplained:
    "이 사용자의 벡터는 따로 학습한 것이라 항목별 이유를 알 수 없습니다. 항목을 넣거나 빼면 이유가 나옵니다.",
  latest: "기록이 길어 최근 {count}개만으로 점수를 매깁니다.",
  because: "추천 이유: {names}",
  becauseList: "기록의 각 항목이 점수에 더한 값",
  isNew: "새로 등장",
  up: "{count}계단 상승",
  down: "{count}계단 하락",

  // 지도
  mapTitle: "지도",
  mapLead:
    "모든 항목을 한 평면에 펼쳤습니다. 가까운 항목끼리 모여 있습니다. 끌어서 옮기고, 휠이나 두 손가락으로 확대하세요. 항목을 고르면 이웃이 보입니다.",
  mapPick: "지도에서 항목 찾기",
  mapCanvas: "항목 {count}개의 지도",
  mapOf: "항목 {count}개의 지도 ({method})",
  mapPart: "가장 자주 나오는 항목 {count}개의 지도 ({method})",
  mapMaking: "지도를 만들고 있습니다. 다 되면 여기에 나타납니다.",
  mapEmpty: "지도에서 항목을 고르거나 이름으로 찾으세요.",
  mapUser: "지도에서 본 {name}",
  mapHistory: "기록",
  mapRecommended: "추천",
  mapWhy: "추천 이유 보기",
  mapBack: "기록으로 돌아가기",
  mapMissing: "{name} 항목은 이 지도에 없습니다.",
  mapGroups: "지도에서 찾은 무리: 누르면 그 무리만 보입니다",
  mapIn: "확대",
  mapOut: "축소",
  mapAll: "전체 보기",

  // 목록
  more: "더 보기",
  results: { other: "결과 {count}개" },
  nothing: "결과가 없습니다.",

  // 상태
  loading: "불러오는 중",
  failed: "요청을 처리하지 못했습니다",
  unreachable: "서버가 응답하지 않습니다. 서버가 멈추었거나 네트워크가 끊겼을 수 있습니다.",
  busy: "요청이 한꺼번에 너무 많습니다. 잠시 뒤에 다시 시도하세요.",
  retry: "다시 시도",
  unknownPage: "이 주소에는 아무것도 없습니다.",
  noKeys: "이 모델에는 사용자가 없어 추천할 수 없습니다.",
  toStart: "첫 화면으로",

  // 접근 토큰
  accessTitle: "접근 토큰이 필요한 서버입니다",
  accessLead: "토큰은 서버를 켠 사람에게 물어보세요. 이 탭을 닫을 때까지만 보관합니다.",
  accessField: "접근 토큰",
  accessWrong: "토큰이 맞지 않습니다.",
  accessSend: "계속",
};
