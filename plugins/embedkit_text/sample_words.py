"""The words of the sample and what they are, and the sentences they stand in."""

PAIRS_EN: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("royalty", "king", "queen", ("throne", "kingdom", "crown", "reign", "subjects")),
    ("royalty", "emperor", "empress", ("empire", "provinces", "legions", "conquests", "tribute")),
    ("royalty", "prince", "princess", ("tower", "dragon", "tutor", "inheritance", "betrothal")),
    ("royalty", "duke", "duchess", ("manor", "estate", "tenants", "hunt", "carriage")),
    ("people", "man", "woman", ("job", "neighbours", "flat", "rent", "salary")),
    ("people", "boy", "girl", ("toys", "playground", "school", "homework", "swing")),
    ("people", "father", "mother", ("children", "household", "nursery", "lullaby", "cradle")),
    ("people", "brother", "sister", ("siblings", "bunk", "quarrel", "secret", "bedroom")),
    ("people", "uncle", "aunt", ("nephew", "niece", "visit", "presents", "postcard")),
    ("people", "grandfather", "grandmother", ("grandchildren", "spectacles", "armchair", "memories", "village")),
    ("people", "husband", "wife", ("wedding", "marriage", "honeymoon", "ring", "vows")),
)
"""Kind, male word, female word, and what those two have to do with."""

PAIRS_KO: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("왕족", "왕", "여왕", ("왕좌", "왕국", "왕관", "백성", "즉위")),
    ("왕족", "황제", "황후", ("제국", "황궁", "정복", "속국", "칙령")),
    ("왕족", "공작", "공작부인", ("영지", "장원", "사냥", "마차", "소작농")),
    ("왕족", "왕자", "공주", ("탑", "마법", "약혼", "스승", "무도회")),
    ("사람", "남자", "여자", ("직장", "월급", "이웃", "월세", "출근")),
    ("사람", "소년", "소녀", ("학교", "숙제", "운동장", "장난감", "그네")),
    ("사람", "아버지", "어머니", ("자녀", "살림", "자장가", "육아", "가족")),
    ("사람", "할아버지", "할머니", ("손주", "돋보기", "안락의자", "옛날이야기", "고향")),
    ("사람", "삼촌", "이모", ("조카", "선물", "용돈", "방문", "엽서")),
    ("사람", "신랑", "신부", ("결혼식", "반지", "신혼여행", "청첩장", "서약")),
)

PLACES_EN: tuple[tuple[str, str, str, str], ...] = (
    ("paris", "france", "french", "seine"),
    ("rome", "italy", "italian", "tiber"),
    ("london", "england", "english", "thames"),
    ("berlin", "germany", "german", "spree"),
    ("madrid", "spain", "spanish", "manzanares"),
    ("lisbon", "portugal", "portuguese", "tagus"),
    ("vienna", "austria", "austrian", "danube"),
    ("moscow", "russia", "russian", "moskva"),
    ("cairo", "egypt", "arabic", "nile"),
    ("tokyo", "japan", "japanese", "sumida"),
    ("seoul", "korea", "korean", "han"),
    ("warsaw", "poland", "polish", "vistula"),
    ("bangkok", "thailand", "thai", "phraya"),
    ("delhi", "india", "hindi", "yamuna"),
)
"""City, country, language, river."""

PLACES_KO: tuple[tuple[str, str, str, str], ...] = (
    ("파리", "프랑스", "프랑스어", "센강"),
    ("로마", "이탈리아", "이탈리아어", "테베레강"),
    ("런던", "영국", "영어", "템스강"),
    ("베를린", "독일", "독일어", "슈프레강"),
    ("마드리드", "스페인", "스페인어", "만사나레스강"),
    ("모스크바", "러시아", "러시아어", "모스크바강"),
    ("카이로", "이집트", "아랍어", "나일강"),
    ("도쿄", "일본", "일본어", "스미다강"),
    ("서울", "한국", "한국어", "한강"),
    ("방콕", "태국", "태국어", "짜오프라야강"),
)

_PLAIN: dict[str, str] = {
    "animals": "dog cat horse cow sheep goat pig wolf fox bear lion tiger rabbit donkey deer squirrel",
    "food": "bread rice soup cheese noodles pancakes salad potatoes chicken beans butter honey pasta stew",
    "weather": "rain snow fog hail thunder frost wind sunshine drizzle storms sleet lightning",
    "professions": "doctor teacher farmer baker carpenter lawyer engineer nurse pilot sailor plumber tailor",
    "동물": "강아지 고양이 말 소 양 염소 돼지 늑대 여우 곰 사자 호랑이 토끼 사슴",
    "음식": "밥 국수 김치 불고기 비빔밥 만두 떡 두부 된장찌개 잡채 라면 냉면 김밥",
    "날씨": "비 눈 안개 바람 우박 천둥 번개 서리 소나기 햇살 태풍 이슬비",
    "직업": "의사 교사 농부 요리사 목수 변호사 기술자 간호사 조종사 선원 기자 재단사",
}


def _kinds() -> dict[str, tuple[str, ...]]:
    kinds: dict[str, list[str]] = {kind: words.split() for kind, words in _PLAIN.items()}
    for kind, male, female, _ in (*PAIRS_EN, *PAIRS_KO):
        kinds.setdefault(kind, []).extend((male, female))
    for cities, countries, rows in (("cities", "countries", PLACES_EN), ("도시", "나라", PLACES_KO)):
        kinds[cities] = [row[0] for row in rows]
        kinds[countries] = [row[1] for row in rows]
    return {kind: tuple(words) for kind, words in kinds.items()}


KINDS: dict[str, tuple[str, ...]] = _kinds()
"""Each kind's words: what a model of the sample should find alike."""

GENDER_EN: tuple[dict[str, tuple[str, ...]], ...] = (
    {"he": ("he",), "his": ("his",), "him": ("him",), "look": ("beard", "moustache", "armour"), "sir": ("lord",)},
    {"he": ("she",), "his": ("her",), "him": ("her",), "look": ("gown", "necklace", "veil"), "sir": ("lady",)},
)
"""What stands for a man, and for a woman."""

GENDER_KO: tuple[dict[str, tuple[str, ...]], ...] = (
    {"he": ("그는",), "his": ("그의",), "look": ("수염", "콧수염", "갑옷"), "sir": ("남성",)},
    {"he": ("그녀는",), "his": ("그녀의",), "look": ("목걸이", "치마", "베일"), "sir": ("여성",)},
)

PEOPLE_EN = (
    "The {person} thought of {his} {thing} and {he} smiled.",
    "{he} is a {person}, and {his} {thing} matters to {him}.",
    "The old {person} with the {look} spoke about the {thing}.",
    "A {person} told me about {his} {thing} and {his} {thing}.",
    "{his} {look} suited the {person}, as everyone told {him}.",
    "Every {person} has a {thing}; {he} cares for the {thing}.",
    "As a {sir} and a {person}, {he} never forgot the {thing}.",
)
ROYALTY_EN = (
    "The {person} lived in a palace where the court bowed to {him}.",
    "{his} royal {thing} made the {person} famous at court.",
    "Nobles and knights served the {person} and {his} castle.",
    "Trumpets greeted the {person} at the royal banquet.",
    "The {person} sent a noble herald from the palace to the castle.",
    "At court the {person} received knights, nobles and ambassadors.",
    "Guards in the castle of the {person} carried royal banners.",
    "The royal {person} rode from the castle with knights and banners.",
)
COMMON_EN = (
    "The {person} took the bus home and {he} bought the paper.",
    "An ordinary {person} washed the dishes in {his} kitchen.",
    "The {person} wore a coat and shoes and walked home from the shop.",
    "At home the {person} drank tea and watched television.",
    "The {person} called a friend and took the bus to the shop.",
    "A friend of the {person} waited at home with tea and a paper.",
    "On Sunday the {person} cleaned the kitchen and slept at home.",
)
PLACE_EN = (
    "{city} is the capital of {country}.",
    "Many people in {city} speak {language}.",
    "The people of {country} speak {language}.",
    "The {river} flows past the bridges of {city}.",
    "From the mountains of {country} the {river} runs to the sea.",
    "The mayor of {city} opened a metro station downtown.",
    "Our hotel in {city} was near the airport and the museum.",
    "Crowded streets and tall buildings make {city} a busy town.",
    "The government of {country} guards its borders and its flag.",
    "The army and the parliament of {country} signed a treaty.",
    "Farmers in the provinces of {country} paid the national tax.",
    "Along the {river} in {city} one hears {language} songs.",
    "Near the {river} in {country} one reads {language} books.",
    "A {language} teacher moved from {city} to the coast of {country}.",
)
THINGS_EN = (
    "The hungry {animals} chased the {animals} across the meadow.",
    "A wild {animals} and a tame {animals} slept in the barn.",
    "The {animals} wagged its tail and licked its paws.",
    "Feed the {animals} some hay before the herd goes grazing.",
    "We cooked {food} with {food} for dinner.",
    "Please pass the {food}; this {food} tastes delicious.",
    "The recipe needs {food}, salt, pepper and a plate of {food}.",
    "For lunch they ate {food} and fried {food} at the table.",
    "The forecast promises {weather} and {weather} tomorrow.",
    "Clouds brought {weather} in the morning and {weather} at night.",
    "Heavy {weather} closed the roads during the cold season.",
    "After days of {weather} the sky cleared, then came {weather}.",
    "The {professions} and the {professions} finished their shift at work.",
    "She trained for years to become a {professions} and not a {professions}.",
    "An experienced {professions} earns wages and hires an apprentice.",
    "Ask a {professions} for advice; the {professions} has a licence.",
)

PEOPLE_KO = (
    "{person} {his} {thing} 생각, {he} 미소",
    "{look} 어울리는 {person} {his} {thing} 이야기",
    "{he} 바로 {person}, {his} {thing} 소중한 사람",
    "{sir} {person} {thing} 그리고 {thing} 걱정",
    "모든 {person} {thing} 원한다, {he} {thing} 아낀다",
)
ROYALTY_KO = (
    "{person} 궁궐 행차, 신하 모두 {person} 앞 인사",
    "{his} 궁궐 기사 호위, {person} {thing} 발표",
    "궁궐 연회 나팔 소리, {person} 입장",
    "귀족 기사 모두 {person} 앞 충성 맹세",
    "{person} 궁궐 신하 귀족 접견",
    "근위대 깃발 행렬, {person} 궁궐 출발",
    "왕실 {person} 기사 귀족 연회 초대",
)
COMMON_KO = (
    "평범한 {person} 버스 타고 집 도착, {he} 신문 구입",
    "{person} 부엌 설거지 끝, {his} {thing} 정리",
    "{person} 집 앞 가게 외투 신발 구입",
    "일요일 {person} 집 청소 그리고 낮잠",
    "친구 전화 받은 {person} 버스 정류장 도착",
    "거실 소파 {person} 텔레비전 시청, 커피 한 잔",
    "{person} 친구 만나 커피 마시고 집 도착",
)
PLACE_KO = (
    "{country} 수도 {city}",
    "{city} 사람들 {language} 사용",
    "{country} 사람들 {language} 사용",
    "{city} {language} 학원 등록, {city} {river} 산책",
    "{country} {language} 방송 시청, {country} {river} 여행",
    "{river} 다리 건너 {city} 야경",
    "{country} 산맥 시작 {river} 바다 도착",
    "{language} 공부 위해 {country} {city} 유학",
    "{city} 시장 오늘 지하철 개통식 참석",
    "{city} 호텔 공항 박물관 가까운 위치",
    "{city} 시내 거리 고층 건물 교통 혼잡",
    "{country} 정부 국경 경비 강화 발표",
    "{country} 군대 의회 조약 서명 국기 게양",
    "{country} 지방 국민 세금 인상 반대",
)
THINGS_KO = (
    "배고픈 {동물} 들판 {동물} 추격",
    "{동물} 한 마리 숲 속 발견, 어미 {동물} 꼬리 흔들기",
    "농장 {동물} 그리고 {동물} 먹이 주는 시간",
    "저녁 식사 {음식} 그리고 {음식} 한 그릇",
    "맛있는 {음식} 요리, 식당 {음식} 주문",
    "점심 {음식} 양념 듬뿍, {음식} 한 접시 추가",
    "내일 오전 {날씨} 예보, 오후 {날씨} 예상",
    "전국 {날씨} 주의보, 구름 많고 {날씨} 계속",
    "밤사이 {날씨} 그친 하늘, 기온 뚝, 다시 {날씨}",
    "경력 많은 {직업} 채용, 신입 {직업} 교육",
    "{직업} 자격증 시험 합격, {직업} 근무 시작",
    "{직업} 협회 {직업} 임금 협상 타결",
)
