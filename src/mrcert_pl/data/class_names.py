"""Names of classes of the published data sets, which must be known without their files."""

from collections import Counter

from timm.data import ImageNetInfo


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(";"))


IMAGENETTE_FOLDERS = _names(
    """
    n01440764; n02102040; n02979186; n03000684; n03028079; n03394916; n03417042; n03425413; n03445777; n03888257
    """
)

CIFAR10 = _names(
    """
    airplane; automobile; bird; cat; deer; dog; frog; horse; ship; truck
    """
)

CIFAR100 = _names(
    """
    apple; aquarium_fish; baby; bear; beaver; bed; bee; beetle; bicycle; bottle; bowl; boy; bridge; bus; butterfly;
    camel; can; castle; caterpillar; cattle; chair; chimpanzee; clock; cloud; cockroach; couch; crab; crocodile; cup;
    dinosaur; dolphin; elephant; flatfish; forest; fox; girl; hamster; house; kangaroo; keyboard; lamp; lawn_mower;
    leopard; lion; lizard; lobster; man; maple_tree; motorcycle; mountain; mouse; mushroom; oak_tree; orange; orchid;
    otter; palm_tree; pear; pickup_truck; pine_tree; plain; plate; poppy; porcupine; possum; rabbit; raccoon; ray; road;
    rocket; rose; sea; seal; shark; shrew; skunk; skyscraper; snail; snake; spider; squirrel; streetcar; sunflower;
    sweet_pepper; table; tank; telephone; television; tiger; tractor; train; trout; tulip; turtle; wardrobe; whale;
    willow_tree; wolf; woman; worm
    """
)

# Newer versions of torchvision have these as well.
FLOWERS102 = _names(
    """
    pink primrose; hard-leaved pocket orchid; canterbury bells; sweet pea; english marigold; tiger lily; moon orchid;
    bird of paradise; monkshood; globe thistle; snapdragon; colt's foot; king protea; spear thistle; yellow iris;
    globe-flower; purple coneflower; peruvian lily; balloon flower; giant white arum lily; fire lily; pincushion flower;
    fritillary; red ginger; grape hyacinth; corn poppy; prince of wales feathers; stemless gentian; artichoke; sweet
    william; carnation; garden phlox; love in the mist; mexican aster; alpine sea holly; ruby-lipped cattleya; cape
    flower; great masterwort; siam tulip; lenten rose; barbeton daisy; daffodil; sword lily; poinsettia; bolero deep
    blue; wallflower; marigold; buttercup; oxeye daisy; common dandelion; petunia; wild pansy; primula; sunflower;
    pelargonium; bishop of llandaff; gaura; geranium; orange dahlia; pink-yellow dahlia?; cautleya spicata; japanese
    anemone; black-eyed susan; silverbush; californian poppy; osteospermum; spring crocus; bearded iris; windflower;
    tree poppy; gazania; azalea; water lily; rose; thorn apple; morning glory; passion flower; lotus; toad lily;
    anthurium; frangipani; clematis; hibiscus; columbine; desert-rose; tree mallow; magnolia; cyclamen; watercress;
    canna lily; hippeastrum; bee balm; ball moss; foxglove; bougainvillea; camellia; mallow; mexican petunia; bromelia;
    blanket flower; trumpet creeper; blackberry lily
    """
)

GTSRB = _names(
    """
    speed limit 20 km/h; speed limit 30 km/h; speed limit 50 km/h; speed limit 60 km/h; speed limit 70 km/h; speed limit
    80 km/h; end of speed limit 80 km/h; speed limit 100 km/h; speed limit 120 km/h; no passing; no passing for vehicles
    over 3.5 t; right of way at the next intersection; priority road; yield; stop; no vehicles; no vehicles over 3.5 t;
    no entry; general caution; dangerous curve to the left; dangerous curve to the right; double curve; bumpy road;
    slippery road; road narrows on the right; road work; traffic signals; pedestrians; children crossing; bicycles
    crossing; ice or snow; wild animals crossing; end of all speed and passing limits; turn right ahead; turn left
    ahead; ahead only; straight or right; straight or left; keep right; keep left; roundabout; end of no passing; end of
    no passing for vehicles over 3.5 t
    """
)


def imagenet() -> dict[str, str]:
    """Return folder (WordNet id) and name of the 1,000 classes, in the order of the labels; the names are unique."""
    info = ImageNetInfo("imagenet-1k")
    names = {folder: info.label_name_to_description(folder).split(",")[0] for folder in info.label_names()}
    count = Counter(names.values())
    # Two of the classes are called crane, two maillot.
    return {folder: name if count[name] == 1 else f"{name} ({folder})" for folder, name in names.items()}
